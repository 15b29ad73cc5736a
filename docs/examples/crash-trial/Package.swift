// swift-tools-version: 6.2

import PackageDescription

let package = Package(
    name: "CrashTrial",
    dependencies: [.package(name: "Cordwood", path: "../../..")],
    targets: [
        .executableTarget(
            name: "CrashTrial",
            dependencies: [
                .product(name: "Cordwood", package: "Cordwood"), .product(name: "CordwoodCrash", package: "Cordwood"),
            ])
    ]
)
