/// Reads a value at a place ("manifest.json: variants[1].lengths"); raises RuntimeBundleError naming it.
typealias Read<T> = (_ value: Json, _ place: String) throws -> T

/// The keys of one JSON object, taken one by one; `finish` refuses those that nobody took.
final class Fields {
    private let object: OrderedMap<Json>
    private let place: String
    private var taken: Set<String> = []

    init(_ value: Json, _ place: String) throws {
        object = try anObject(value, place)
        self.place = place
    }

    func has(_ key: String) -> Bool { object[key] != nil }

    /// The value at `key` as `read` gives it; an error where the key is missing.
    func take<T>(_ key: String, _ read: Read<T>) throws -> T {
        guard let value = object[key] else {
            let missing = below(place, key)
            let document = missing.prefix { $0 != ":" }
            throw refusal("\(document): key '\(missing.dropFirst(document.count + 2))' is missing")
        }
        taken.insert(key)
        return try read(value, below(place, key))
    }

    /// The same, `missing` where the key is.
    func take<T>(_ key: String, _ read: Read<T>, missing: T) throws -> T {
        has(key) ? try take(key, read) : missing
    }

    /// Refuse keys that are left, as an unknown part: it may be skipped where the rest makes sense.
    func finish() throws {
        if taken.count == object.count { return }
        let left = object.keys.filter { !taken.contains($0) }.sorted().prefix(5)
        throw unknownPart(place, "unknown key " + left.map { "'\($0.prefix(80))'" }.joined(separator: ", "))
    }
}

func below(_ place: String, _ key: String) -> String { place.hasSuffix(": ") ? place + key : "\(place).\(key)" }

func top(_ place: String) -> String { place.hasSuffix(": ") ? place + "top level" : place }

func refusal(_ message: String) -> RuntimeBundleError { RuntimeBundleError(message, .manifest) }

func unknownPart(_ place: String, _ reason: String) -> RuntimeBundleError {
    RuntimeBundleError("\(top(place)): \(reason)", .manifest, unknownPart: reason)
}

func wrong(_ place: String, _ expected: String, _ value: Json) -> RuntimeBundleError {
    refusal("\(top(place)): expected \(expected), got \(String(shown(value).prefix(200)))")
}

private func shown(_ value: Json) -> String {
    switch value {
    case .null: return "null"
    case .bool(let value): return "\(value)"
    case .integer(let value): return "\(value)"
    case .largeInteger(let value), .number(let value): return "\(value)"
    case .string(let value): return "'\(value)'"
    case .list: return "a list"
    case .object: return "an object"
    }
}

func anObject(_ value: Json, _ place: String) throws -> OrderedMap<Json> {
    guard case .object(let object) = value else { throw wrong(place, "an object", value) }
    return object
}

func aString(_ value: Json, _ place: String) throws -> String {
    guard case .string(let text) = value else { throw wrong(place, "a string", value) }
    return text
}

func aName(_ value: Json, _ place: String) throws -> String {
    guard case .string(let text) = value, !text.isEmpty, !text.utf8.contains(where: { $0 < 0x20 }) else {
        throw wrong(place, "a non-empty string without control characters", value)
    }
    return text
}

func aPath(_ value: Json, _ place: String) throws -> String {
    let path = try aString(value, place)
    try checkRelativePath(path, place)
    return path
}

func aBoolean(_ value: Json, _ place: String) throws -> Bool {
    guard case .bool(let answer) = value else { throw wrong(place, "true or false", value) }
    return answer
}

func aNumber(_ value: Json, _ place: String) throws -> Double {
    switch value {
    case .integer(let number): return Double(number)
    case .largeInteger(let number), .number(let number): return number
    default: throw wrong(place, "a number", value)
    }
}

func aSha256(_ value: Json, _ place: String) throws -> String {
    guard case .string(let text) = value, text.utf8.count == 64,
          text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
    else { throw wrong(place, "64 lower-case hexadecimal digits", value) }
    return text
}

/// An integer from `least` to `most`; one written with a point or an exponent is none.
func anInteger(_ least: Int64, _ most: Int64 = .max) -> Read<Int> {
    return { value, place in
        guard case .integer(let number) = value, number >= least else {
            throw wrong(place, "an integer of at least \(least)", value)
        }
        if number > most { throw wrong(place, "an integer of at most \(most)", value) }
        return Int(number)
    }
}

func aNumberIn(_ least: Double, _ most: Double) -> Read<Double> {
    return { value, place in
        let number = try aNumber(value, place)
        if !(number >= least && number <= most) { throw wrong(place, "a number from \(least) to \(most)", value) }
        return number
    }
}

func orNull<T>(_ read: @escaping Read<T>) -> Read<T?> {
    return { value, place in
        if case .null = value { return nil }
        return try read(value, place)
    }
}

func aListOf<T>(_ read: @escaping Read<T>) -> Read<[T]> {
    return { value, place in
        guard case .list(let items) = value else { throw wrong(place, "a list", value) }
        return try items.enumerated().map { try read($0.element, "\(place)[\($0.offset)]") }
    }
}

func aMapOf<T: Sendable>(_ read: @escaping Read<T>) -> Read<OrderedMap<T>> {
    return { value, place in
        let items = try anObject(value, place)
        if items.count > 1000 { throw wrong(place, "an object of at most 1000 values", value) }
        var found = OrderedMap<T>()
        for (key, item) in items {
            _ = found.append(try aName(.string(key), place), try read(item, below(place, String(key.prefix(80)))))
        }
        return found
    }
}

func oneOf(_ choices: [String]) -> Read<String> {
    return { value, place in
        guard case .string(let text) = value, choices.contains(text) else {
            throw wrong(place, "one of \(choices.joined(separator: ", "))", value)
        }
        return text
    }
}
