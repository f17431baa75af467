/// JSON data. An integer is one that was written without a point or exponent, and fits 64 bits.
public enum Json: Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case largeInteger(Double)
    case number(Double)
    case string(String)
    case list([Json])
    case object(OrderedMap<Json>)
}

let maxManifestBytes = 8 << 20
private let maxValuesOfADocument = 300_000
private let maxDigits = 19
private let maxDepth = 64

/// JSON data of `content` (UTF-8).
///
/// What is ambiguous, endless or huge is refused: a key twice, NaN, text behind the value, deep nesting, integers of
/// more than 19 digits. `what` names the document in messages. Raises RuntimeBundleError with code `json`.
func readJson(
    _ content: [UInt8],
    _ what: String = "manifest.json",
    maxBytes: Int = maxManifestBytes,
    maxValues: Int = maxValuesOfADocument
) throws -> Json {
    if content.count > maxBytes { throw jsonError("\(what) has \(content.count) bytes: expected at most \(maxBytes)") }
    return try content.withUnsafeBufferPointer { bytes in
        if let at = firstInvalidUtf8(bytes) {
            throw jsonError("\(what) is not UTF-8 (byte \(at)): the file is damaged, get the bundle again")
        }
        // Commas inside strings count too, so this is an upper bound, taken before anything is built.
        var values = 1
        for byte in bytes where byte == comma || byte == openBracket || byte == openBrace { values += 1 }
        if values > maxValues { throw jsonError("\(what) holds up to \(values) values: expected at most \(maxValues)") }
        var parser = StrictJson(bytes: bytes, what: what)
        return try parser.document()
    }
}

private func jsonError(_ message: String) -> RuntimeBundleError { RuntimeBundleError(message, .json) }

private let comma = UInt8(ascii: ","), quote = UInt8(ascii: "\""), backslash = UInt8(ascii: "\\")
private let openBracket = UInt8(ascii: "["), closeBracket = UInt8(ascii: "]")
private let openBrace = UInt8(ascii: "{"), closeBrace = UInt8(ascii: "}")

private struct StrictJson {
    let bytes: UnsafeBufferPointer<UInt8>
    let what: String
    private var at = 0

    init(bytes: UnsafeBufferPointer<UInt8>, what: String) {
        self.bytes = bytes
        self.what = what
    }

    mutating func document() throws -> Json {
        skipSpace()
        let value = try value(1)
        skipSpace()
        if at != bytes.count { throw wrong("text behind the value") }
        return value
    }

    private func wrong(_ problem: String) -> RuntimeBundleError {
        jsonError("\(what) is not JSON (\(problem) at byte \(at)): the file is damaged, get the bundle again")
    }

    private mutating func skipSpace() {
        while at < bytes.count {
            let byte = bytes[at]
            if byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09 { return }
            at += 1
        }
    }

    private func peek() throws -> UInt8 {
        if at >= bytes.count { throw wrong("the text ends") }
        return bytes[at]
    }

    private mutating func value(_ depth: Int) throws -> Json {
        if depth > maxDepth { throw jsonError("\(what) is nested too deeply: expected at most \(maxDepth) levels") }
        switch try peek() {
        case openBrace: return .object(try object(depth))
        case openBracket: return .list(try list(depth))
        case quote: return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func word(_ word: StaticString, _ value: Json) throws -> Json {
        let end = at + word.utf8CodeUnitCount
        if end > bytes.count || !(0..<word.utf8CodeUnitCount).allSatisfy({ bytes[at + $0] == word.utf8Start[$0] }) {
            throw wrong("a word that is none")
        }
        at = end
        return value
    }

    private mutating func object(_ depth: Int) throws -> OrderedMap<Json> {
        var found = OrderedMap<Json>()
        at += 1
        skipSpace()
        if try peek() == closeBrace {
            at += 1
            return found
        }
        while true {
            skipSpace()
            if try peek() != quote { throw wrong("expected a key") }
            let key = try string()
            skipSpace()
            if try peek() != UInt8(ascii: ":") { throw wrong("expected ':'") }
            at += 1
            skipSpace()
            if !found.append(key, try value(depth + 1)) {
                throw wrong("key '\(key.prefix(80))' occurs twice in one object")
            }
            if try isEnd(closeBrace) { return found }
        }
    }

    private mutating func list(_ depth: Int) throws -> [Json] {
        var found: [Json] = []
        at += 1
        skipSpace()
        if try peek() == closeBracket {
            at += 1
            return found
        }
        while true {
            skipSpace()
            found.append(try value(depth + 1))
            if try isEnd(closeBracket) { return found }
        }
    }

    /// Behind an item: true at the closing bracket, false at a comma.
    private mutating func isEnd(_ closing: UInt8) throws -> Bool {
        skipSpace()
        let byte = try peek()
        if byte != closing && byte != comma { throw wrong("expected ',' or a closing bracket") }
        at += 1
        return byte == closing
    }

    private mutating func string() throws -> String {
        at += 1
        var start = at
        var before: [UInt8] = [] // what was read of a string with escapes
        while true {
            let byte = try peek()
            if byte == quote || byte == backslash {
                let run = UnsafeBufferPointer(rebasing: bytes[start..<at])
                at += 1
                if byte == quote && before.isEmpty { return String(decoding: run, as: UTF8.self) }
                before.append(contentsOf: run)
                if byte == quote { return String(decoding: before, as: UTF8.self) }
                before.append(contentsOf: UTF8.encode(try escaped())!)
                start = at
            } else if byte < 0x20 {
                throw wrong("a control character in a string")
            } else {
                at += 1
            }
        }
    }

    private mutating func escaped() throws -> Unicode.Scalar {
        let byte = try peek()
        at += 1
        switch byte {
        case quote, backslash, UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let unit = try hexadecimal()
            if let scalar = Unicode.Scalar(unit) { return scalar }
            if unit < 0xdc00, at + 1 < bytes.count, bytes[at] == backslash, bytes[at + 1] == UInt8(ascii: "u") {
                at += 2
                let low = try hexadecimal()
                if (0xdc00...0xdfff).contains(low) {
                    return Unicode.Scalar(0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00))!
                }
            }
            throw wrong("half of a surrogate pair")
        default: throw wrong("an escape that is none")
        }
    }

    private mutating func hexadecimal() throws -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(try peek())).hexDigitValue else {
                throw wrong("expected four hexadecimal digits")
            }
            unit = unit << 4 | UInt32(digit)
            at += 1
        }
        return unit
    }

    private mutating func digits() -> Int {
        let start = at
        while at < bytes.count, (0x30...0x39).contains(bytes[at]) { at += 1 }
        return at - start
    }

    private mutating func skip(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Bool {
        if at < bytes.count, bytes[at] == UInt8(ascii: first) || bytes[at] == UInt8(ascii: second) {
            at += 1
            return true
        }
        return false
    }

    private mutating func number() throws -> Json {
        let start = at
        _ = skip("-", "-")
        let first = try peek()
        let count = digits()
        if count == 0 { throw wrong("expected a value") }
        if first == 0x30 && count > 1 { throw wrong("a number that begins with 0") }
        var isInteger = true
        if skip(".", ".") {
            isInteger = false
            if digits() == 0 { throw wrong("expected digits") }
        }
        if skip("e", "E") {
            isInteger = false
            _ = skip("+", "-")
            if digits() == 0 { throw wrong("expected digits") }
        }
        let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<at]), as: UTF8.self)
        if isInteger {
            if count > maxDigits { throw wrong("an integer of \(count) digits") }
            if let integer = Int64(text) { return .integer(integer) }
        }
        guard let number = Double(text), number.isFinite else {
            throw wrong("number \(text.prefix(40)) is beyond the range of a double")
        }
        return isInteger ? .largeInteger(number) : .number(number)
    }
}

/// The first byte that isn't part of well-formed UTF-8 (no surrogates, nothing longer than it need be); nil where all
/// are.
private func firstInvalidUtf8(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
    var at = 0
    while at < bytes.count {
        let byte = bytes[at]
        if byte < 0x80 {
            at += 1
            continue
        }
        let length = byte < 0xc2 || byte > 0xf4 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
        if length == 0 || at + length > bytes.count { return at }
        let least: UInt8 = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80 // of the second byte
        let most: UInt8 = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf
        if bytes[at + 1] < least || bytes[at + 1] > most { return at }
        for place in at + 2..<max(at + 2, at + length) where bytes[place] & 0xc0 != 0x80 { return at }
        at += length
    }
    return nil
}
