import Foundation
import XCTest

@testable import EdgeformerRuntime

/// The reader of manifests, against the Python runtime's.
final class ManifestTest: XCTestCase {
    private func manifest(_ change: (inout [String: Json]) throws -> Void) throws -> Manifest {
        var known = try members(Checkout.json("bundles/text-classification/manifest.json"))
        known["checksum"] = nil
        try change(&known)
        return try readManifest(Array(jsonText(object(known)).utf8))
    }

    func testChangedManifestsEndAsInPython() throws {
        var different: [String] = []
        for known in try Checkout.expected("manifests") {
            let pair = try known.list()
            let text = try pair[0].text().unicodeScalars.map { UInt8($0.value) }
            let outcome = try outcome(text)
            let expected = pair[1]
            if jsonText(outcome) == jsonText(expected) { continue }
            let shown = String(decoding: text.prefix(300), as: UTF8.self)
            different.append("expected \(jsonText(expected)), got \(jsonText(outcome)): \(shown)")
        }
        XCTAssert(different.isEmpty, "\(different.count): \(different.prefix(5).joined(separator: "\n"))")
    }

    private func outcome(_ text: [UInt8]) throws -> Json {
        do {
            return .list(try readManifest(text).skipped.map { [.string($0.part), .string($0.name)] })
        } catch let error as RuntimeBundleError {
            return .string(error.code.rawValue)
        }
    }

    func testWhatIsUnknownIsSkippedWithItsReason() throws {
        let found = try manifest { known in
            var variants = try XCTUnwrap(known["variants"]).list()
            var later = try members(variants[0])
            later["name"] = "later"
            later["format"] = "laterformat"
            variants.append(object(later))
            known["variants"] = .list(variants)
            known["preprocess"] = .list(try XCTUnwrap(known["preprocess"]).list() + [["kind": "smell"]])
        }
        XCTAssertEqual(found.skipped("variant").map(\.name), ["later"])
        XCTAssert(found.skipped("variant")[0].reason.contains("laterformat"))
        XCTAssertEqual(found.skipped("preprocess").map(\.name), ["smell"])
        XCTAssertThrowsError(try found.variant("later")) { XCTAssert("\($0)".contains("skipped"), "\($0)") }
        XCTAssertThrowsError(try found.variant("none")) { XCTAssert("\($0)".contains("expected auto, onnx"), "\($0)") }
    }

    func testMessagesNameThePlace() throws {
        func message(_ change: (inout [String: Json]) throws -> Void) -> String {
            do {
                _ = try manifest(change)
                return ""
            } catch {
                return "\(error)"
            }
        }
        let expected = "expected a non-empty string without control characters, got 1"
        XCTAssertEqual(message { $0["name"] = Json(1) }, "manifest.json: name: \(expected)")
        XCTAssertEqual(message { $0["name"] = nil }, "manifest.json: key 'name' is missing")
        XCTAssertEqual(message { $0["colour"] = "red" }, "manifest.json: top level: unknown key 'colour'")
    }

    func testPaths() throws {
        for good in ["a", "a/b.c", "é/ü", "a b/c", ".hidden"] { try checkRelativePath(good, "test") }
        let long = String(repeating: "x", count: 256)
        let deep = [String](repeating: "a", count: 33).joined(separator: "/")
        for bad in [
            "", "/a", "a//b", "a/../b", "..", "./a", "a/", "a\\b", "c:/a", "a\0b", "a\nb", "a\r\nb", "a ", "a./b",
            "CON", "nul.txt", "a/com1", "a?b", "a*", "a|b", long, deep, "a\u{200b}b", "a/\u{301}/..",
        ] {
            XCTAssertThrowsError(try checkRelativePath(bad, "test"), bad) {
                XCTAssertEqual(($0 as? RuntimeBundleError)?.code, .path)
            }
        }
        for bad in [["a", "A"], ["\u{e9}", "e\u{301}"], ["a/x", "A/y"], ["a", "a/b"], ["a/b", "A"]] {
            XCTAssertThrowsError(try checkDistinct(bad, "test"), "\(bad)")
        }
        try checkDistinct(["a/b", "a/c", "b"], "test")
    }
}
