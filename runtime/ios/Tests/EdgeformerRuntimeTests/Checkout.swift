import Foundation
import XCTest

@testable import EdgeformerRuntime

/// What tests read: files of the checkout that they lie in, and what the Python runtime makes of the same input.
enum Checkout {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().appendingPathComponent("../../../..").standardizedFileURL
    static let conformance = root.appendingPathComponent("tests/conformance")

    static func bytes(_ file: URL) throws -> [UInt8] { [UInt8](try Data(contentsOf: file)) }

    /// A JSON file of `conformance`.
    static func json(_ path: String) throws -> Json {
        try readJson(bytes(conformance.appendingPathComponent(path)), path, maxBytes: 1 << 28, maxValues: 1 << 26)
    }

    /// A JSON file that tests/apps/expected.py wrote.
    static func expected(_ name: String) throws -> [Json] {
        let file = try expectedFolder().appendingPathComponent("\(name).json")
        return try readJson(bytes(file), name, maxBytes: 1 << 28, maxValues: 1 << 26).list()
    }

    /// Of `inputs/`, by what a case calls it.
    static func picture(_ name: String) throws -> Picture {
        try readPng(bytes(conformance.appendingPathComponent("inputs/\(name)")))
    }

    static func bundle(_ name: String) -> URL { conformance.appendingPathComponent("bundles/\(name)") }

    static func sound(_ name: String) throws -> Sound {
        try Sound(wav: Data(contentsOf: conformance.appendingPathComponent("inputs/\(name)")))
    }
}

extension Json {
    func list() throws -> [Json] {
        guard case .list(let items) = self else { throw InputError("expected a list") }
        return items
    }

    func object() throws -> OrderedMap<Json> { try anObject(self, "test") }

    func text() throws -> String { try aString(self, "test") }

    func double() throws -> Double { try aNumber(self, "test") }

    func int() throws -> Int { try anInteger(.min)(self, "test") }

    var isNull: Bool {
        if case .null = self { return true }
        return false
    }

    /// The numbers of nested lists, in order.
    func numbers() throws -> [Double] {
        guard case .list(let items) = self else { return [try double()] }
        return try items.flatMap { try $0.numbers() }
    }

    /// Sizes of nested lists.
    func sizes() throws -> [Int] {
        guard case .list(let items) = self, let first = items.first else { return [] }
        return [items.count] + (try first.sizes())
    }

    subscript(key: String) -> Json {
        get throws { try XCTUnwrap(try object()[key], "key \(key)") }
    }
}

/// Equal JSON data, numbers within 10⁻⁵.
func assertClose(
    _ found: Json, _ expected: Json, _ place: String, file: StaticString = #filePath, line: UInt = #line
) throws {
    switch (expected, found) {
    case (.object(let wanted), .object(let given)):
        XCTAssertEqual(given.keys.sorted(), wanted.keys.sorted(), place, file: file, line: line)
        for (key, value) in wanted {
            try assertClose(XCTUnwrap(given[key]), value, "\(place).\(key)", file: file, line: line)
        }
    case (.list(let wanted), .list(let given)):
        XCTAssertEqual(given.count, wanted.count, place, file: file, line: line)
        for (index, (left, right)) in zip(given, wanted).enumerated() {
            try assertClose(left, right, "\(place)[\(index)]", file: file, line: line)
        }
    case (.string(let wanted), .string(let given)): XCTAssertEqual(given, wanted, place, file: file, line: line)
    case (.bool(let wanted), .bool(let given)): XCTAssertEqual(given, wanted, place, file: file, line: line)
    case (.null, .null): break
    case (.integer, _), (.number, _):
        XCTAssertEqual(try found.double(), try expected.double(), accuracy: 1e-5, place, file: file, line: line)
    default: XCTFail("\(place): expected \(expected), got \(found)", file: file, line: line)
    }
}
