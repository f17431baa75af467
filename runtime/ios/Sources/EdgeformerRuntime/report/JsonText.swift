/// JSON text with keys sorted. Numbers must be finite: readers refuse others.
func jsonText(_ value: Json) -> String {
    var out = ""
    write(&out, value, "\n")
    return out + "\n"
}

private func write(_ out: inout String, _ value: Json, _ line: String) {
    switch value {
    case .null: out += "null"
    case .bool(let value): out += value ? "true" : "false"
    case .integer(let value): out += "\(value)"
    case .largeInteger(let value), .number(let value):
        precondition(value.isFinite, "\(value) is no number of JSON")
        out += "\(value)"
    case .string(let text): writeString(&out, text)
    case .list(let items):
        writeAll(&out, "[", "]", items, line) { write(&$0, $1, line + " ") }
    case .object(let object):
        writeAll(&out, "{", "}", object.sorted { $0.key < $1.key }, line) {
            writeString(&$0, $1.key)
            $0 += ": "
            write(&$0, $1.value, line + " ")
        }
    }
}

private func writeAll<T>(
    _ out: inout String, _ open: String, _ close: String, _ items: [T], _ line: String,
    _ write: (inout String, T) -> Void
) {
    out += open
    for (index, item) in items.enumerated() {
        out += (index > 0 ? "," : "") + line + " "
        write(&out, item)
    }
    out += (items.isEmpty ? "" : line) + close
}

private func writeString(_ out: inout String, _ text: String) {
    out += "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": out += "\\\(scalar)"
        case "\0"..<" ", "\u{7f}": out += "\\u" + String(scalar.value + 0x10000, radix: 16).dropFirst()
        default: out.unicodeScalars.append(scalar)
        }
    }
    out += "\""
}

// Shorthands for what a report is made of.

extension Json: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: Json...) { self = .list(elements) }

    public init(dictionaryLiteral elements: (String, Json)...) {
        var object = OrderedMap<Json>()
        for (key, value) in elements { _ = object.append(key, value) }
        self = .object(object)
    }

    init(_ value: Bool) { self = .bool(value) }
    init(_ value: String?) { self = value.map { .string($0) } ?? .null }
    init(_ values: [String]) { self = .list(values.map { .string($0) }) }
    init(_ values: [Double]) { self = .list(values.map { .number($0) }) }

    init(_ values: [String: String]) {
        var object = OrderedMap<Json>()
        for (key, value) in values { _ = object.append(key, .string(value)) }
        self = .object(object)
    }
}
