private let deepest = 16 // parts inside parts; real files have two or three

/// One object of a tokenizer.json, read field by field; what is wrong is a RuntimeBundleError that names the place.
struct Part {
    private let fields: OrderedMap<Json>
    private let place: String
    private let depth: Int

    init(_ value: Json, _ place: String, depth: Int = 0) throws {
        guard case .object(let fields) = value else { throw expected("an object", place, shown(value)) }
        if depth > deepest { throw tokenizerError("\(place): nested more than \(deepest) deep") }
        self.fields = fields
        self.place = place
        self.depth = depth
    }

    /// Whether the key is there and not null.
    func has(_ key: String) -> Bool {
        if case .null = fields[key] ?? .null { return false }
        return true
    }

    private func value(_ key: String) throws -> Json {
        if let value = fields[key], has(key) { return value }
        throw tokenizerError("\(place).\(key) is missing")
    }

    func string(_ key: String) throws -> String {
        try stringOf(try value(key), key)
    }

    func string(_ key: String, missing: String) throws -> String {
        has(key) ? try string(key) : missing
    }

    /// One character, as its code point.
    func character(_ key: String) throws -> Int32 {
        let text = try string(key)
        let points = codePoints(text)
        if points.count != 1 { throw wrong(key, "one character", "'\(text)'") }
        return points[0]
    }

    func boolean(_ key: String) throws -> Bool {
        let value = try value(key)
        guard case .bool(let boolean) = value else { throw wrong(key, "true or false", shown(value)) }
        return boolean
    }

    func boolean(_ key: String, missing: Bool) throws -> Bool {
        has(key) ? try boolean(key) : missing
    }

    func number(_ key: String) throws -> Double {
        try numberOf(try value(key), key)
    }

    func integer(_ key: String) throws -> Int {
        try integerOf(try value(key), key)
    }

    func integers(_ key: String) throws -> [Int] {
        try list(key).map { try integerOf($0, key) }
    }

    func strings(_ key: String) throws -> [String] {
        try list(key).map { try stringOf($0, key) }
    }

    func oneOf(_ key: String, _ choices: [String]) throws -> String {
        let value = try string(key)
        if !choices.contains(value) { throw wrong(key, "one of \(choices.joined(separator: ", "))", "'\(value)'") }
        return value
    }

    func part(_ key: String) throws -> Part {
        try Part(try value(key), "\(place).\(key)", depth: depth + 1)
    }

    func parts(_ key: String) throws -> [Part] {
        try list(key).enumerated().map { try Part($1, "\(place).\(key)[\($0)]", depth: depth + 1) }
    }

    func isList(_ key: String) throws -> Bool {
        if case .list = try value(key) { return true }
        return false
    }

    private func list(_ key: String) throws -> [Json] {
        let value = try value(key)
        guard case .list(let items) = value else { throw wrong(key, "a list", shown(value)) }
        return items
    }

    /// An object of tokens and their ids.
    func vocabulary(_ key: String) throws -> Vocabulary {
        let value = try value(key)
        guard case .object(let ids) = value else { throw wrong(key, "an object of tokens and ids", shown(value)) }
        let vocabulary = Vocabulary(expected: ids.count)
        for (token, id) in ids { vocabulary.add(codePoints(token), Int32(try integerOf(id, key))) }
        return vocabulary
    }

    /// Pairs of a token and its score.
    func scoredTokens(_ key: String) throws -> [(token: String, score: Double)] {
        try list(key).map { entry in
            guard case .list(let pair) = entry, pair.count == 2, case .string(let token) = pair[0],
                let score = doubleOf(pair[1])
            else { throw wrong(key, "pairs of a token and its score", shown(entry)) }
            return (token, score)
        }
    }

    /// Pairs of tokens: lists of two, or one string with a space between them.
    func merges(_ key: String) throws -> [(left: Characters, right: Characters)] {
        let version = codePoints("#version")
        var found: [(left: Characters, right: Characters)] = []
        for entry in try list(key) {
            var pair: [Characters] = []
            if case .string(let text) = entry {
                let characters = codePoints(text)
                if characters.starts(with: version) { continue }
                pair = characters.split(separator: space, omittingEmptySubsequences: false)
            } else if case .list(let tokens) = entry {
                pair = try tokens.map { codePoints(try stringOf($0, key))[...] }
            }
            if pair.count != 2 { throw wrong("\(key)[\(found.count)]", "two tokens", shown(entry)) }
            found.append((pair[0], pair[1]))
        }
        return found
    }

    /// ["[CLS]", 101]
    func tokenAndId(_ key: String) throws -> (String, Int32) {
        let pair = try list(key)
        guard pair.count == 2, case .string(let token) = pair[0] else {
            throw wrong(key, "a token and its id", "a list of \(pair.count)")
        }
        return (token, Int32(try integerOf(pair[1], key)))
    }

    private func stringOf(_ value: Json, _ key: String) throws -> String {
        guard case .string(let text) = value else { throw wrong(key, "a string", shown(value)) }
        return text
    }

    private func numberOf(_ value: Json, _ key: String) throws -> Double {
        guard let number = doubleOf(value) else { throw wrong(key, "a number", shown(value)) }
        return number
    }

    private func integerOf(_ value: Json, _ key: String) throws -> Int {
        guard case .integer(let integer) = value, 0...Int64(Int32.max) ~= integer else {
            throw wrong(key, "an integer from 0 to 2147483647", shown(value))
        }
        return Int(integer)
    }

    /// What was expected at `key`, and what was found.
    func wrong(_ key: String, _ what: String, _ got: String) -> RuntimeBundleError {
        expected(what, "\(place).\(key)", got)
    }

    /// For what this runtime can't do.
    func unsupported(_ what: String) -> RuntimeBundleError {
        tokenizerError("\(place): \(what). Compile with another tokenizer, or take a newer runtime")
    }
}

func tokenizerError(_ message: String) -> RuntimeBundleError {
    RuntimeBundleError(message, .bundle)
}

private func expected(_ what: String, _ place: String, _ got: String) -> RuntimeBundleError {
    tokenizerError("\(place): expected \(what), got \(got.prefix(80))")
}

private func doubleOf(_ value: Json) -> Double? {
    switch value {
    case .integer(let integer): return Double(integer)
    case .largeInteger(let number), .number(let number): return number
    default: return nil
    }
}

private func shown(_ value: Json) -> String {
    switch value {
    case .null: return "null"
    case .bool(let boolean): return "\(boolean)"
    case .integer(let integer): return "\(integer)"
    case .largeInteger(let number), .number(let number): return "\(number)"
    case .string(let text): return "'\(text)'"
    case .list: return "a list"
    case .object: return "an object"
    }
}
