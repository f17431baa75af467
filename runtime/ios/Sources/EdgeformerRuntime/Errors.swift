import Foundation

/// Every error that the runtime raises on purpose. A message says what, where, expected, found, what to do.
public protocol EdgeformerError: LocalizedError, CustomStringConvertible, Sendable {
    var message: String { get }
}

extension EdgeformerError {
    public var description: String { message }
    public var errorDescription: String? { message }
}

/// The call, or something that it hands over, is wrong.
public struct InputError: EdgeformerError {
    public let message: String

    public init(_ message: String) { self.message = message }
}

/// No engine here can run the variant, or the engine failed while running it.
public struct EngineError: EdgeformerError {
    public let message: String

    public init(_ message: String) { self.message = message }
}

/// What is wrong with a bundle, the same in every language; FORMAT.md says when. Raw values are the codes as they stand
/// there.
public enum ErrorCode: String, Sendable {
    case notABundle = "not-a-bundle"
    case json
    case formatVersion = "format-version"
    case manifest
    case checksum
    case path
    case files
    case zip
    case signature
    case golden
    case bundle
}

/// A bundle is damaged, altered, unsafe to open, or newer than this runtime.
public struct RuntimeBundleError: EdgeformerError {
    public let message: String
    public let code: ErrorCode

    /// Set where a part is of a kind that this release doesn't know, and may be skipped: the message without its place.
    let unknownPart: String?

    public init(_ message: String, _ code: ErrorCode = .bundle) {
        self.init(message, code, unknownPart: nil)
    }

    init(_ message: String, _ code: ErrorCode, unknownPart: String?) {
        self.message = message
        self.code = code
        self.unknownPart = unknownPart
    }
}
