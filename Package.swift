// swift-tools-version: 6.2
// Arrows between targets point one way, down; `tools/tidy` checks the sources' imports against this table.

import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func room(_ name: String, _ dependencies: [String]) -> Target {
    .target(name: name, dependencies: dependencies.map { .init(stringLiteral: $0) }, swiftSettings: settings)
}

func program(_ name: String, _ dependencies: [String], path: String? = nil) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies.map { .init(stringLiteral: $0) }, path: path, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [String], exclude: [String] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies.map { .init(stringLiteral: $0) }, exclude: exclude,
        swiftSettings: settings)
}

/// What several test targets share.
func support(_ name: String, _ dependencies: [String]) -> Target {
    .target(
        name: name, dependencies: dependencies.map { .init(stringLiteral: $0) }, path: "Tests/\(name)",
        swiftSettings: settings)
}

let package = Package(
    name: "Cordwood",
    products: [
        .library(name: "Cordwood", targets: ["Cordwood"]),
        .library(name: "CordwoodConformance", targets: ["CordwoodConformance"]),
        .library(name: "CordwoodCrash", targets: ["CordwoodCrash"]),
        .executable(name: "cordwood-node", targets: ["cordwood-node"]),
        .executable(name: "cordwood-inspect", targets: ["cordwood-inspect"]),
        .executable(name: "cordwood-bench", targets: ["cordwood-bench"]),
        .executable(name: "cordwood-crashtest", targets: ["cordwood-crashtest"]),
    ],
    targets: [
        // Shims.
        .target(name: "CUring", linkerSettings: [.linkedLibrary("uring")]),
        .target(name: "CLinux"),
        .target(name: "CAllocations"),
        .target(name: "CProcessor"),
        .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),

        // Ground floor: vocabulary, consensus, seams.
        room("CordwoodBase", ["CXXHash"]),
        room("CordwoodRaft", ["CordwoodBase"]),
        room("CordwoodIO", ["CordwoodBase"]),

        // What stands behind the seams.
        room("CordwoodPlatform", ["CordwoodBase", "CordwoodIO", "CUring", "CLinux"]),
        room("CordwoodVirtual", ["CordwoodBase", "CordwoodIO"]),

        // The engine.
        room("CordwoodLog", ["CordwoodBase", "CordwoodRaft", "CordwoodIO", "CProcessor"]),
        room("CordwoodMachine", ["CordwoodBase", "CordwoodIO", "CordwoodLog"]),
        room("CordwoodEvents", ["CordwoodBase", "CordwoodMachine", "CProcessor"]),
        room("CordwoodRESP", ["CordwoodBase"]),
        room("CordwoodOptions", ["CordwoodBase"]),
        room("CordwoodNode", ["CordwoodBase", "CordwoodIO", "CordwoodRaft", "CordwoodLog", "CordwoodMachine"]),
        room(
            "CordwoodServer",
            [
                "CordwoodBase", "CordwoodIO", "CordwoodRESP", "CordwoodOptions", "CordwoodRaft", "CordwoodLog",
                "CordwoodMachine", "CordwoodEvents", "CordwoodNode",
            ]),
        room(
            "Cordwood",
            [
                "CordwoodBase", "CordwoodIO", "CordwoodPlatform", "CordwoodRaft", "CordwoodLog", "CordwoodMachine",
                "CordwoodNode",
            ]),

        // Kits and judges.
        room("CordwoodProcesses", ["CordwoodIO", "CLinux"]),
        room(
            "CordwoodSimulation",
            [
                "CordwoodBase", "CordwoodIO", "CordwoodVirtual", "CordwoodRaft", "CordwoodLog", "CordwoodMachine",
                "CordwoodEvents", "CordwoodNode",
            ]),
        room(
            "CordwoodConformance",
            ["CordwoodBase", "CordwoodIO", "CordwoodVirtual", "CordwoodRaft", "CordwoodLog", "CordwoodMachine"]),
        room(
            "CordwoodCrash",
            [
                "CordwoodBase", "CordwoodIO", "CordwoodPlatform", "CLinux", "CordwoodVirtual", "CordwoodRaft",
                "CordwoodLog", "CordwoodMachine", "CordwoodNode", "Cordwood", "CordwoodConformance",
                "CordwoodProcesses",
            ]),
        room(
            "CordwoodTrials",
            [
                "CordwoodBase", "CordwoodIO", "CordwoodVirtual", "CordwoodEvents", "CordwoodRESP", "CordwoodProcesses",
            ]),

        // Programs.
        program(
            "cordwood-node",
            [
                "Cordwood", "CordwoodBase", "CordwoodIO", "CordwoodPlatform", "CordwoodEvents", "CordwoodOptions",
                "CordwoodNode", "CordwoodServer", "CordwoodRaft",
            ]),
        program(
            "cordwood-inspect",
            [
                "CordwoodBase", "CordwoodRaft", "CordwoodIO", "CordwoodPlatform", "CordwoodLog", "CordwoodMachine",
                "CordwoodEvents", "CordwoodOptions",
            ]),
        program(
            "cordwood-bench",
            [
                "Cordwood", "CordwoodBase", "CordwoodIO", "CordwoodPlatform", "CordwoodRaft", "CordwoodLog",
                "CordwoodMachine", "CordwoodEvents", "CordwoodOptions", "CAllocations",
            ]),
        program(
            "cordwood-crashtest",
            [
                "CordwoodSimulation", "CordwoodConformance", "CordwoodTrials", "CordwoodVirtual", "CordwoodPlatform",
                "Cordwood", "CordwoodBase", "CordwoodIO", "CordwoodRaft", "CordwoodLog", "CordwoodMachine",
                "CordwoodNode", "CordwoodOptions", "CordwoodCrash",
            ]),
        // The samples of the library in use; each on its own is a package that depends on this one.
        program("cordwood-example", ["Cordwood"], path: "docs/examples/counter/Sources/Counter"),
        program(
            "cordwood-conformance-example", ["CordwoodConformance"],
            path: "docs/examples/conformance/Sources/Conformance"),

        // The sample of a machine of one's own that is killed; a package of its own, too.
        program(
            "cordwood-crash-example", ["Cordwood", "CordwoodCrash"],
            path: "docs/examples/crash-trial/Sources/CrashTrial"),

        // Tests: one folder a target, plus process tests and the tidy walk.
        tests("CordwoodBaseTests", ["CordwoodBase"]),
        tests("CordwoodRaftTests", ["CordwoodBase", "CordwoodRaft", "CordwoodConformance"]),
        tests("CordwoodPlatformTests", ["CordwoodBase", "CordwoodIO", "CordwoodPlatform"]),
        tests("CordwoodVirtualTests", ["CordwoodBase", "CordwoodIO", "CordwoodVirtual"]),
        tests(
            "CordwoodLogTests",
            [
                "CordwoodBase", "CordwoodRaft", "CordwoodIO", "CordwoodPlatform", "CordwoodVirtual", "CordwoodLog",
                "CordwoodConformance", "LogTestSupport",
            ]),
        tests(
            "CordwoodMachineTests",
            [
                "CordwoodBase", "CordwoodRaft", "CordwoodIO", "CordwoodVirtual", "CordwoodLog", "CordwoodMachine",
            ]),
        tests("CordwoodEventsTests", ["CordwoodBase", "CordwoodMachine", "CordwoodEvents"]),
        tests("CordwoodRESPTests", ["CordwoodBase", "CordwoodRESP"]),
        tests("CordwoodOptionsTests", ["CordwoodBase", "CordwoodOptions"]),
        tests(
            "CordwoodNodeTests",
            [
                "CordwoodBase", "CordwoodRaft", "CordwoodIO", "CordwoodPlatform", "CordwoodVirtual", "CordwoodLog",
                "CordwoodMachine", "CordwoodNode",
            ]),
        tests(
            "CordwoodServerTests",
            [
                "CordwoodBase", "CordwoodRaft", "CordwoodIO", "CordwoodVirtual", "CordwoodLog", "CordwoodMachine",
                "CordwoodEvents", "CordwoodRESP", "CordwoodOptions", "CordwoodNode", "CordwoodServer",
            ]),
        tests(
            "CordwoodSimulationTests",
            [
                "CordwoodBase", "CordwoodRaft", "CordwoodIO", "CordwoodVirtual", "CordwoodNode", "CordwoodSimulation",
            ]),
        tests("CordwoodTrialsTests", ["CordwoodVirtual", "CordwoodTrials"]),
        tests(
            "CordwoodConformanceTests",
            [
                "CordwoodBase", "CordwoodRaft", "CordwoodIO", "CordwoodPlatform", "CordwoodVirtual", "CordwoodLog",
                "CordwoodMachine", "CordwoodEvents", "CordwoodConformance",
            ]),
        tests(
            "CordwoodInspectTests",
            [
                "CordwoodBase", "CordwoodRaft", "CordwoodIO", "CordwoodPlatform", "CordwoodVirtual", "CordwoodLog",
                "CordwoodMachine", "CordwoodEvents", "cordwood-inspect",
            ]),
        tests(
            "DecoderTests",
            [
                "CordwoodBase", "CordwoodIO", "CordwoodRaft", "CordwoodLog", "CordwoodMachine", "CordwoodEvents",
                "CordwoodRESP", "CordwoodOptions", "CordwoodNode", "CordwoodServer", "LogTestSupport",
            ], exclude: ["Fuzzer"]),
        support("LogTestSupport", ["CordwoodBase", "CordwoodRaft", "CordwoodIO", "CordwoodLog"]),
        support("ProcessTestSupport", []),
        tests("ProcessTests", ["ProcessTestSupport"]),
        tests("TidyTests", ["ProcessTestSupport"]),
    ]
)

// The fuzzer is made of the same drivers as the tests. It sees the rooms' insides and needs a runtime of its own, so it
// is there for `tools/fuzz` alone.
if Context.environment["CORDWOOD_FUZZ"] != nil, let tests = package.targets.first(where: { $0.name == "DecoderTests" })
{
    package.targets.removeAll { $0.name == tests.name }
    package.targets.append(
        .executableTarget(
            name: "cordwood-fuzz", dependencies: tests.dependencies, path: "Tests/DecoderTests",
            exclude: ["CorpusTests.swift", "ExportTests.swift"], sources: ["Drivers", "Fuzzer"],
            swiftSettings: settings))
}
