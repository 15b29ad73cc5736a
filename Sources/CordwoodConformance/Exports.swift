// One import is enough for those who have a store or a machine examined: what the kit's own declarations speak of comes
// with it.

@_exported public import CordwoodBase
@_exported public import CordwoodIO
@_exported public import CordwoodLog
@_exported public import CordwoodMachine
@_exported public import CordwoodRaft
@_exported public import CordwoodVirtual
