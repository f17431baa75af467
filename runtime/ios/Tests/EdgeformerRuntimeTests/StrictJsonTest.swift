import XCTest

@testable import EdgeformerRuntime

final class StrictJsonTest: XCTestCase {
    private func code(_ text: String) -> ErrorCode? { code(Array(text.utf8)) }

    private func code(_ bytes: [UInt8]) -> ErrorCode? {
        do {
            _ = try readJson(bytes)
            return nil
        } catch {
            return (error as? RuntimeBundleError)?.code
        }
    }

    func testWhatIsNoJsonIsRefused() {
        let texts = [
            "", "{", "[1,]", "{\"a\":1,}", "[1 2]", "01", "1.", ".5", "+1", "1e", "NaN", "Infinity", "-", "tru",
            "nullx", "[] []", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\\ud800\"",
            "\"\\ud800\\u0041\"", "\"\n\"", "1e999", "12345678901234567890", "{\"a\":1,\"a\":2}", "{a:1}", "'a'",
            "\u{feff}1",
        ]
        for text in texts { XCTAssertEqual(code(text), .json, text) }
        let bytes: [[UInt8]] = [
            [0x22, 0xc0, 0x80, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22],
            [0x22, 0xe2, 0x82, 0x22], [0x22, 0x80, 0x22], [0x22, 0xf0, 0x8f, 0xbf, 0xbf, 0x22],
        ]
        for content in bytes { XCTAssertEqual(code(content), .json, "\(content)") }
    }

    func testDepthCountsTheInnermostValue() {
        XCTAssertNil(code(String(repeating: "[", count: 64) + String(repeating: "]", count: 64)))
        XCTAssertEqual(code(String(repeating: "[", count: 64) + "1" + String(repeating: "]", count: 64)), .json)
    }

    func testValues() throws {
        let list = "[1.5e-3, 9223372036854775808, \"a\\ud83d\\ude00\\n\u{1f600}\", null, true]"
        let text = "{\"\\u00e9\": -0, \"e\u{301}\": \(list)}"
        let object = try anObject(readJson(Array(text.utf8)), "")
        XCTAssertEqual(object.count, 2) // equal to Swift, and not to JSON
        guard case .integer(0)? = object["\u{e9}"], case .list(let items)? = object["e\u{301}"] else {
            return XCTFail("\(object)")
        }
        guard case .number(0.0015) = items[0], case .largeInteger(9_223_372_036_854_775_808) = items[1],
              case .string("a\u{1f600}\n\u{1f600}") = items[2], case .null = items[3], case .bool(true) = items[4]
        else { return XCTFail("\(items)") }
    }
}
