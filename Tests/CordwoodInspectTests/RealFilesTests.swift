import CordwoodIO
import CordwoodPlatform
import CordwoodVirtual
import Foundation
import Testing

@testable import cordwood_inspect

@Suite("The inspector on real files")
struct RealFilesTests {
    /// What one command said and how it ended.
    private struct Result: Sendable {
        var code: ExitCode
        var rows: [String]
    }

    private func inspect(_ command: Inspector.Command, _ folder: URL) throws -> Result {
        let platform = try Platform.start(io: .posix)
        defer { platform.shutdown() }
        return try platform.runToEnd { seams in
            var rows: [String] = []
            let inspector = Inspector(
                directory: folder.path, files: seams.files,
                output: Output(isJSON: true, write: { rows.append($0) }, note: { _ in }))
            return Result(code: await inspector.run(command), rows: rows)
        }
    }

    @Test("it says of a directory on the file system what it says of the same bytes on the virtual disk")
    func sameAsVirtual() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "cordwood-inspect-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        var image = try InspectedWorld.make()
        func copy() throws {
            for path in image.paths {
                let file = folder.appending(path: String(path.dropFirst("/data/".count)))
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(#require(image.contents(path))).write(to: file)
            }
        }
        try copy()
        for command in Inspector.Command.allCases {
            let real = try inspect(command, folder)
            let virtual = try Inspection.run(command, on: image)
            #expect(real.code == .clean)
            #expect(real.rows.map { $0.replacing(folder.path, with: "/data") } == virtual.rows)
        }
        let segment = try #require(image.paths.first { $0.hasSuffix(".seg") })
        image.zero(segment, 8192..<8704)
        try copy()
        let real = try inspect(.verify, folder)
        #expect(real.code == .damaged)
        #expect(
            try real.rows.map { $0.replacing(folder.path, with: "/data") } == Inspection.run(.verify, on: image).rows)
    }
}
