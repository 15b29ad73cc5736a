import Foundation
import ProcessTestSupport
import Testing

@Suite("The inspector's program")
struct InspectorTests {
    private let inspector = Checkout.program("cordwood-inspect")

    @Test("wrong usage ends with 2, help with 0, a directory that is not there with 3")
    func exitCodes() throws {
        #expect(try Command(inspector).exitCode == 2)
        #expect(try Command(inspector, "verify").exitCode == 2)
        #expect(try Command(inspector, "shred", "/tmp").exitCode == 2)
        #expect(try Command(inspector, "dump", "/tmp", "--from", "5", "--to", "4").exitCode == 2)
        let help = try Command(inspector, "--help")
        #expect(help.exitCode == 0 && help.output.contains("watermarks"), "\(help.said)")
        let folder = try TemporaryFolder()
        for command in ["segments", "dump", "verify", "watermarks", "floor"] {
            let nowhere = try Command(inspector, command, folder.url.path + "/nowhere")
            #expect(nowhere.exitCode == 3, "\(nowhere.said)")
            #expect(nowhere.output.isEmpty && !nowhere.errors.isEmpty)
            #expect(try Command(inspector, command, folder.url.path).exitCode == 3, "an empty directory has no log")
        }
    }

    @Test("a file that is no segment is damage, named with its class and offsets")
    func noSegment() throws {
        let folder = try TemporaryFolder()
        let name = "0000000000000001-0000000000000001.seg"
        try folder.write(String(repeating: "x", count: 8192), to: name)
        let found = try Command(inspector, "verify", "--json", folder.url.path)
        #expect(found.exitCode == 1, "\(found.said)")
        let damage = found.output.split(separator: "\n").filter { $0.hasPrefix("{\"kind\":\"damage\"") }
        #expect(damage.count == 1)
        #expect(
            damage[0].contains("\"class\":\"corrupt\",\"file\":\"\(folder.url.path)/\(name)\",\"from\":0,\"to\":8192"))
    }
}
