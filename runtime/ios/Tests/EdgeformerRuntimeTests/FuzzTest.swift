import Foundation
import XCTest

@testable import EdgeformerRuntime

/// Mutated files of tests/apps/fuzz.py, with what Python makes of each.
final class FuzzTest: XCTestCase {
    func testMutatedManifestsEndAsInPython() throws {
        try each("manifests.jsonl") { text, known in
            let expected = try known.object()["code"].flatMap { $0.isNull ? nil : try $0.text() }
            do {
                let skipped = try readManifest(text).skipped.map { [$0.part, $0.name] }
                if let expected { return "expected \(expected), got a manifest" }
                let wanted = try known["skipped"].list().map { try $0.list().map { try $0.text() } }
                return skipped == wanted ? nil : "expected \(wanted), got \(skipped)"
            } catch let error as RuntimeBundleError {
                return error.code.rawValue == expected ? nil : "expected \(expected ?? "a manifest"), got \(error.code)"
            }
        }
    }

    /// A reader may refuse what the package opens, and the reverse; where both open it, ids are equal.
    func testMutatedTokenizersNeverGiveOtherTokens() throws {
        var opened = 0
        try each("tokenizers.jsonl") { content, known in
            guard let tokenizer = try tokenizer(content), case .list(let ids) = try known["ids"] else { return nil }
            opened += 1
            for (text, wanted) in zip(try known["texts"].list(), ids) where !wanted.isNull {
                guard let found = try encoded(tokenizer, text.text()) else { continue }
                if try found.map(Int.init) == wanted.list().map({ try $0.int() }) { continue }
                return "'\(try text.text())': expected \(wanted), got \(found)"
            }
            return nil
        }
        XCTAssertGreaterThan(opened, 100)
    }

    /// nil where it is refused, which it may be, with an error of ours.
    private func tokenizer(_ content: [UInt8]) throws -> Tokenizer? {
        do { return try Tokenizer(content) } catch is RuntimeBundleError { return nil }
    }

    private func encoded(_ tokenizer: Tokenizer, _ text: String) throws -> [Int32]? {
        do { return try tokenizer.encode(text).ids } catch is InputError { return nil }
    }

    /// `check` gives what is wrong, if anything, with what became of each text.
    private func each(_ name: String, _ check: ([UInt8], Json) throws -> String?) throws {
        let file = try Checkout.prepared("EDGEFORMER_FUZZ").appendingPathComponent(name)
        var bases: [String: [UInt8]] = [:]
        var different: [String] = []
        var count = 0
        for line in try Checkout.bytes(file).split(separator: UInt8(ascii: "\n")) {
            let known = try readJson(Array(line), name, maxBytes: 1 << 24)
            let base = try known["base"].text()
            let file = Checkout.root.appendingPathComponent("tests/\(base)")
            var text = try bases[base] ?? Checkout.bytes(file)
            bases[base] = bases[base] ?? text
            for edit in try known["edits"].list().map({ try $0.list() }) {
                let (at, deleted) = (try edit[0].int(), try edit[1].int())
                text.replaceSubrange(at..<at + deleted, with: Data(base64Encoded: try edit[2].text())!)
            }
            count += 1
            if let problem = try check(text, known) { different.append("line \(count): \(problem)") }
        }
        XCTAssertGreaterThanOrEqual(count, 2000)
        XCTAssert(different.isEmpty, "\(different.count): \(different.prefix(10).joined(separator: "\n"))")
    }
}
