import Foundation
import ProcessTestSupport

/// Which clients of others are installed here. A test whose client is missing is skipped and says so.
enum RedisClients {
    static let cli = Command.exists("redis-cli")
    static let benchmark = Command.exists("redis-benchmark")
    /// A Python that has redis-py: the first of the path, or that of the distribution.
    static let python = ["python3", "/usr/bin/python3"].first {
        (try? Command($0, "-c", "import redis"))?.exitCode == 0
    }
}
