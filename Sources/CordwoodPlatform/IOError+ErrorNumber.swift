internal import CordwoodIO
internal import Glibc

extension IOError {
    /// The error of a system call that failed with `errorNumber`.
    init(errorNumber: Int32, operation: String, subject: String) {
        self.init(Reason(errorNumber: errorNumber), operation: operation, subject: subject, errorNumber: errorNumber)
    }
}

extension IOError.Reason {
    init(errorNumber: Int32) {
        switch errorNumber {
        case ENOENT, ENOTDIR: self = .notFound
        case EEXIST, ENOTEMPTY: self = .exists
        case EWOULDBLOCK: self = .locked
        case ENOSPC, EDQUOT: self = .noSpace
        case EMFILE, ENFILE: self = .tooManyFiles
        case EROFS: self = .readOnly
        case EOPNOTSUPP, ENOSYS: self = .unsupported
        case EIO, ENXIO, ENODEV, EREMOTEIO: self = .device
        case ECANCELED, ECONNRESET, ECONNABORTED, EPIPE, ENOTCONN, ESHUTDOWN, ETIMEDOUT: self = .closed
        case ECONNREFUSED: self = .refused
        default: self = .other
        }
    }
}
