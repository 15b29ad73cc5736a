import Foundation
import Testing

/// Where the curated inputs lie: one folder a decoder, one file an input.
private let corpusFolder = URL(filePath: #filePath).deletingLastPathComponent().appending(
    path: "../../Fixtures/corpus", directoryHint: .isDirectory
).standardized

@Suite("Decoders of bytes from outside") struct CorpusTests {
    @Test("what an honest sender sends is taken as it is", arguments: DecoderDriver.all.map(\.name))
    func samples(name: String) throws {
        let driver = try #require(DecoderDriver.named(name))
        let samples = driver.samples()
        #expect(!samples.isEmpty)
        for sample in samples { driver.run(sample) }
    }

    @Test(
        "the corpus, with every input that once stopped a decoder, stops none", arguments: DecoderDriver.all.map(\.name)
    )
    func corpus(name: String) throws {
        let driver = try #require(DecoderDriver.named(name))
        let files = try FileManager.default.contentsOfDirectory(
            at: corpusFolder.appending(path: name), includingPropertiesForKeys: nil)
        #expect(!files.isEmpty, "no corpus of \(name)")
        for file in files { driver.run([UInt8](try Data(contentsOf: file))) }
    }

    @Test(
        "samples that are cut, changed in a byte, or given another number stop no decoder",
        arguments: DecoderDriver.all.map(\.name))
    func changedSamples(name: String) throws {
        let driver = try #require(DecoderDriver.named(name))
        for sample in driver.samples().map({ [UInt8]($0.prefix(400)) }) {
            for length in stride(from: 0, to: sample.count, by: 7) { driver.run([UInt8](sample[..<length])) }
            for place in stride(from: 1, to: sample.count, by: 5) {
                for number in nastyNumbers {
                    var changed = sample
                    withUnsafeBytes(of: number.littleEndian) { raw in
                        for (offset, byte) in raw.enumerated() where place + offset < changed.count {
                            changed[place + offset] = byte
                        }
                    }
                    driver.run(changed)
                }
            }
        }
    }

    @Test("the corpus holds nothing of a decoder that is not there") func noStrangers() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: corpusFolder.path)
        #expect(Set(folders) == Set(DecoderDriver.all.map(\.name)))
    }
}
