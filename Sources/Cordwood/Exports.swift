// One import is enough for those who embed: what the façade's own declarations speak of comes with it.

@_exported public import CordwoodBase
@_exported public import CordwoodIO
@_exported public import CordwoodLog
@_exported public import CordwoodMachine
@_exported public import CordwoodNode
@_exported public import CordwoodPlatform
@_exported public import CordwoodRaft
