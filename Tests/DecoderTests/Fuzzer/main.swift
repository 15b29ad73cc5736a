import Glibc

// The program that libFuzzer drives: `cordwood-fuzz DECODER [libFuzzer's options and folders]`, built by `tools/fuzz`
// alone. `cordwood-fuzz` without arguments names the decoders; `cordwood-fuzz DECODER --samples FOLDER` writes what an
// honest sender would send into a folder, for the fuzzer to start from.

@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

nonisolated(unsafe) var chosen: DecoderDriver?

guard CommandLine.arguments.count > 1 else {
    for driver in DecoderDriver.all { print(driver.name) }
    exit(0)
}
guard let driver = DecoderDriver.named(CommandLine.arguments[1]) else {
    print("no such decoder: \(CommandLine.arguments[1])")
    exit(2)
}
if CommandLine.arguments.count == 4, CommandLine.arguments[2] == "--samples" {
    for (number, sample) in driver.samples().enumerated() {
        guard let file = fopen("\(CommandLine.arguments[3])/sample-\(number)", "w") else { exit(2) }
        fwrite(sample, 1, sample.count, file)
        fclose(file)
    }
    exit(0)
}
chosen = driver
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = UnsafeMutablePointer(
    mutating: CommandLine.unsafeArgv)
arguments?[1] = CommandLine.unsafeArgv[0]
arguments = arguments.map { $0 + 1 }
var count = CommandLine.argc - 1
exit(
    runDriver(&count, &arguments) { bytes, count in
        chosen?.run([UInt8](UnsafeBufferPointer(start: bytes, count: count)))
        return 0
    })
