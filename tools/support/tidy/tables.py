"""What the rooms may know and which words they use. Each table mirrors a page of docs/: rooms and doors are those of
docs/architecture.md, words those of docs/glossary.md."""

# The rooms, ground floor first, and the rooms that each may import. Arrows point one way: down.
ROOMS = {
    "CUring": set(),
    "CLinux": set(),
    "CXXHash": set(),
    "CAllocations": set(),
    "CProcessor": set(),
    "CordwoodBase": {"CXXHash"},
    "CordwoodRaft": {"CordwoodBase"},
    "CordwoodIO": {"CordwoodBase"},
    "CordwoodPlatform": {"CordwoodBase", "CordwoodIO", "CUring", "CLinux"},
    "CordwoodVirtual": {"CordwoodBase", "CordwoodIO"},
    "CordwoodLog": {"CordwoodBase", "CordwoodRaft", "CordwoodIO", "CProcessor"},
    "CordwoodMachine": {"CordwoodBase", "CordwoodIO", "CordwoodLog"},
    "CordwoodEvents": {"CordwoodBase", "CordwoodMachine", "CProcessor"},
    "CordwoodRESP": {"CordwoodBase"},
    "CordwoodOptions": {"CordwoodBase"},
    "CordwoodNode": {"CordwoodBase", "CordwoodIO", "CordwoodRaft", "CordwoodLog", "CordwoodMachine"},
    "CordwoodServer": {
        "CordwoodBase", "CordwoodIO", "CordwoodRESP", "CordwoodOptions", "CordwoodRaft", "CordwoodLog",
        "CordwoodMachine", "CordwoodEvents", "CordwoodNode",
    },
    "Cordwood": {
        "CordwoodBase", "CordwoodIO", "CordwoodPlatform", "CordwoodRaft", "CordwoodLog", "CordwoodMachine",
        "CordwoodNode",
    },
    "CordwoodSimulation": {
        "CordwoodBase", "CordwoodIO", "CordwoodVirtual", "CordwoodRaft", "CordwoodLog", "CordwoodMachine",
        "CordwoodEvents", "CordwoodNode", "CordwoodServer",
    },
    "CordwoodConformance": {
        "CordwoodBase", "CordwoodIO", "CordwoodVirtual", "CordwoodRaft", "CordwoodLog", "CordwoodMachine",
    },
    "CordwoodProcesses": {"CordwoodIO", "CLinux"},
    "CordwoodTrials": {
        "CordwoodBase", "CordwoodIO", "CordwoodVirtual", "CordwoodEvents", "CordwoodRESP", "CordwoodProcesses",
    },
    "CordwoodCrash": {
        "CordwoodBase", "CordwoodIO", "CordwoodPlatform", "CLinux", "CordwoodVirtual", "CordwoodRaft", "CordwoodLog",
        "CordwoodMachine", "CordwoodNode", "Cordwood", "CordwoodConformance", "CordwoodProcesses",
    },
    "cordwood-node": {
        "Cordwood", "CordwoodBase", "CordwoodIO", "CordwoodPlatform", "CordwoodEvents", "CordwoodOptions",
        "CordwoodNode", "CordwoodServer", "CordwoodRaft",
    },
    "cordwood-inspect": {
        "CordwoodBase", "CordwoodRaft", "CordwoodIO", "CordwoodPlatform", "CordwoodLog", "CordwoodMachine",
        "CordwoodEvents", "CordwoodOptions",
    },
    "cordwood-bench": {
        "Cordwood", "CordwoodBase", "CordwoodIO", "CordwoodPlatform", "CordwoodRaft", "CordwoodLog",
        "CordwoodMachine", "CordwoodEvents", "CordwoodOptions", "CAllocations",
    },
    "cordwood-crashtest": {
        "CordwoodSimulation", "CordwoodConformance", "CordwoodTrials", "CordwoodVirtual", "CordwoodPlatform",
        "Cordwood", "CordwoodBase", "CordwoodIO", "CordwoodRaft", "CordwoodLog", "CordwoodMachine", "CordwoodNode",
        "CordwoodOptions", "CordwoodCrash",
    },
    "cordwood-example": {"Cordwood"},
    "cordwood-crash-example": {"Cordwood", "CordwoodCrash"},
    "cordwood-conformance-example": {"CordwoodConformance"},
}

PROGRAMS = {room for room in ROOMS if room.startswith("cordwood-")}
SHIMS = {"CUring", "CLinux", "CXXHash", "CAllocations", "CProcessor"}

# System modules beyond the standard library. A room that is not named gets `Synchronization` alone: with no door to the
# C library it can reach neither a clock nor the environment, and the node does not carry Foundation.
SYSTEM_MODULES = {
    "CordwoodPlatform": {"Glibc"},
    # Which thread it runs on is all that the virtual scheduler asks the system.
    "CordwoodVirtual": {"Glibc"},
    "CordwoodConformance": {"Foundation", "Glibc"},
    # Starts, stops and kills processes, and reads the files that they leave.
    "CordwoodProcesses": {"Glibc"},
    "CordwoodTrials": {"Foundation", "Glibc"},
    "CordwoodCrash": {"Foundation", "Glibc"},
}
SYSTEM_MODULES_OF_PROGRAMS = {"Foundation", "Glibc"}
SYSTEM_MODULES_OF_ALL = {"Swift", "Synchronization"}

# What the rooms above the seams must ask a seam for, as (pattern, what to use instead).
TASKS = [
    (r"\bTask(?:<[^>]*>)?\s*(?:\.init\s*)?(?:\([^()]*\))?\s*\{", "`scheduler.spawn`"),
    (r"\bTask\.(?:detached|immediate)\b", "`scheduler.spawn`"),
    (r"\bTask\.sleep\b", "`clock.sleep`"),
    (r"\b(?:Thread|pthread_create)\s*\(", "`scheduler.offload`"),
]
SENSES = [
    (r"\b(?:ContinuousClock|SuspendingClock|Date|DispatchTime)\b", "the seam `Clock`"),
    (r"\b(?:clock_gettime|gettimeofday|mach_absolute_time)\b", "the seam `Clock`"),
    (r"\b(?:SystemRandomNumberGenerator|arc4random\w*|getrandom)\b", "the seam `RandomSource`"),
    (r"\.(?:random|randomElement|shuffled?)\s*\((?![^()]*\busing:)", "the seam `RandomSource`"),
    (r"\bUUID\s*\(\s*\)", "the seam `RandomSource`"),
    (r"\b(?:ProcessInfo|getenv|secure_getenv|environ|CommandLine)\b", "a value that the program passes in"),
    (r"(?<![\w.])(?:print|debugPrint|dump)\s*\(", "the log that the caller passes in"),
]
# What no room does, those at the platform included.
EVERYWHERE = [
    (r"\bDispatch(?:Queue|Group|Semaphore|Source|WorkItem|Data|IO)\b", "the scheduler: dispatch brings threads"),
    (r"\bimport\s+Dispatch\b", "the scheduler: dispatch brings threads"),
    (r"\.hashValue\b|\bHasher\s*\(\s*\)", "`Checksum`: `Hasher` is seeded per process"),
    (r"\btry!", "a typed error"),
    (r"\bas!", "a checked cast"),
]

# Names that are part of the vocabulary: each is a type, and each has a line in docs/glossary.md.
SEED_NAMES = [
    "SegmentedLogStore", "PartitionLogStore", "SegmentedStateMachine", "PartitionStateMachine", "SegmentedAckTracker",
    "SegmentedRecordHeader", "PartitionDescriptor", "SegmentedWatermarks", "PartitionWatermark",
    "PartitionDispatcher", "PartitionMasterPolicy", "PartitionQuorumRule", "QuorumDecision", "AckOutcome",
    "DurabilityCursor",
]
# One concept, one word: identifiers that say it otherwise, and the word to use.
SYNONYMS = [
    (r"\w*(?:[fF]lushed|[sS]ynced|[sS]table)Index", "durableIndex"),
    (r"\w*(?:[lL]ow|[hH]igh)[wW]ater[mM]ark\w*", "watermark, or floor"),
    (r"\w*(?:[sS]afePoint|[tT]runcationPoint|[gG]cPoint)\w*", "floor"),
    (r"\w*(?:[wW]riteAheadLog|WAL[A-Z]\w*)", "segmented log"),
    (r"\w*(?:[bB]lack|[wW]hite)[lL]ist\w*", "denied, allowed"),
    (r"\w*[sS]lave\w*", "replica, or follower"),
    (r"\w*[cC]ommited\w*", "committed"),
    (r"\w*[a-z](?:Id|Ids)", "ID, as in partitionID"),
    (r"\w*[a-z](?:Ms|Us|Ns|Millis|Micros|Nanos|Secs)", "the unit spelled out, as in timeoutNanoseconds"),
]

# Words that mark unfinished work. Written with brackets so that this file does not trip over itself.
UNFINISHED = (
    r"T[O]DO|FIX[M]E|\bX[X]X\b|\bH[A]CK\b|place[h]older|\bst[u]bs?\b|not (?:yet )?imple[m]ented|unimple[m]ented"
    r"|for n[o]w\b"
)

# Paths of one machine, and flags that make the package unusable as a dependency or unsafe.
MACHINE_PATHS = r"/w[o]rk/|/f[a]rm/|/tmp/b[a]sh_jobs|/tmp/c[w]/|/h[o]me/[a-z]|/Use[r]s/[A-Za-z]|/r[o]ot/"
FLAGS = r"-Ounch[e]cked|unsafeFl[a]gs"
SKIPPED_TESTS = r"\.disa[b]led\(|XCTSk[i]p|withKnownIs[s]ue"

# References that lead out of the tree: a reader of the repository cannot follow them.
OUTSIDE = (
    r"\.\./sh[a]red|\bengine-r[u]les\b"
    r"|\b(?:log-store|raft-core|client-protocol|features|faults|design)(?:\.m[d]|\s+\d)"
)
# Tests that replay the third-party scenario files, which are read from beside the checkout.
REPLAYS = ("Tests/CordwoodRaftTests/", "Tests/CordwoodConformanceTests/")

MAX_COLUMNS = 120
MAX_LINES = 700
# Files that may be longer: the consensus state machine is one honest big file.
LONG_FILES = {"Sources/CordwoodRaft/Raft.swift", "Sources/CordwoodRaft/RaftCore.swift"}
# A file under Sources of more than the first number of lines opens with a comment of at least the second number. A file
# of one aspect (`Type+Aspect.swift`) is introduced by its type, unless it is a long one.
HEADERS = [(300, 3), (100, 1)]
HEADERS_OF_ASPECTS = [(300, 1)]
