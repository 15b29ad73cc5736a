// swift-tools-version: 6.2

import PackageDescription

let package = Package(
    name: "Conformance",
    dependencies: [.package(name: "Cordwood", path: "../../..")],
    targets: [
        .executableTarget(
            name: "Conformance", dependencies: [.product(name: "CordwoodConformance", package: "Cordwood")])
    ]
)
