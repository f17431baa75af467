import XCTest

@testable import EdgeformerRuntime

/// tokenizer.json files that somebody damaged, on purpose or not: an error of ours when it is opened, or a tokenizer.
final class HostileTokenizerTest: XCTestCase {
    private let model = "\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 0}, \"unk_token\": \"a\"}"

    private func refusal(_ bytes: [UInt8]) -> String? {
        do {
            _ = try Tokenizer(bytes)
            return nil
        } catch {
            return (error as? RuntimeBundleError)?.message
        }
    }

    private func refusal(_ text: String) -> String? { refusal(Array(text.utf8)) }

    func testBytesThatAreNoJson() {
        for text in ["", "{", "[1,]", "nul", "\u{feff}", "[]", String(repeating: "[", count: 200_000)] {
            XCTAssertNotNil(refusal(text), String(text.prefix(20)))
        }
        XCTAssertNotNil(refusal([0x22, 0xff, 0x22]))
    }

    func testWhatIsNotKnownIsNamed() throws {
        let known = "{\"pretokenizers\": [{\"type\": \"Whitespace\"}, {\"type\": \"Runes\"}], \"type\": \"Sequence\"}"
        let message = try XCTUnwrap(refusal("{\(model), \"pre_tokenizer\": \(known)}"))
        XCTAssertTrue(message.contains("pretokenizers[1]: pre-tokenizer 'Runes' isn't known"), message)
        for part in ["normalizer", "pre_tokenizer", "post_processor"] {
            XCTAssertNotNil(refusal("{\(model), \"\(part)\": {\"type\": \"Runes\"}}"), part)
        }
        XCTAssertNotNil(refusal("{\"model\": {\"type\": \"Runes\"}}"))
        let ofBert = "{\"type\": \"ByteLevel\", \"cls\": [\"a\", 0], \"sep\": [\"a\", 0]}"
        XCTAssertEqual(refusal("{\(model), \"post_processor\": \(ofBert)}")?.contains("keys of Bert"), true)
        XCTAssertNotNil(refusal("{\(model), \"version\": \"2.0\"}"))
        XCTAssertNil(refusal("{\(model)}"))
    }

    func testPartsNestedWithoutEnd() {
        let opening = String(repeating: "{\"type\": \"Sequence\", \"normalizers\": [", count: 25)
        let nested = opening + "{\"type\": \"Lowercase\"}" + String(repeating: "]}", count: 25)
        XCTAssertTrue(refusal("{\(model), \"normalizer\": \(nested)}")?.contains("nested more than 16 deep") == true)
    }

    private func split(_ pattern: String) -> String {
        let written = pattern.unicodeScalars.map { $0 == "\\" || $0 == "\"" ? "\\\($0)" : String($0) }.joined()
        let regex = "{\"Regex\": \"\(written)\"}"
        let splitting = "{\"type\": \"Split\", \"pattern\": \(regex), \"behavior\": \"Isolated\", \"invert\": false}"
        return "{\(model), \"pre_tokenizer\": \(splitting)}"
    }

    func testRegularExpressionsThatAreNotKnown() {
        let patterns = [
            "(a", "a)", "[a", "a**", "(ab)*", "(ab)+", "^a", "a|", "x*", "(?<=a)b", "(?<n>a)", #"\1"#, #"\bx"#,
            "[a&&b]", "[[:alpha:]]", #"\p{Greek}"#, "(?i:\u{df})", "(?i:strasse)", "a{3,1}", "a{2}{3}", "[z-a]",
            "(?!a)", "\\", String(repeating: "a", count: 2000), String(repeating: "((", count: 100),
            "(?:(?:a{9}){9}){9}{9}", #"\u12"#, "a{0,}", "a{2}?", "(?:(?:abcdefghijklmnop){16}){16}",
        ]
        for pattern in patterns { XCTAssertNotNil(refusal(split(pattern)), pattern) }
        let known = ["a{2,}", "(?:ab){1,16}", #"[^\s\p{L}]+[\r\n]*"#]
        for pattern in known { XCTAssertNil(refusal(split(pattern)), pattern) }
    }

    func testARegularExpressionThatTakesTooLongIsAnError() throws {
        let tokenizer = try Tokenizer(Array(split("a*a*a*a*b").utf8))
        XCTAssertThrowsError(try tokenizer.encode(String(repeating: "a", count: 5000))) { error in
            XCTAssertTrue((error as? InputError)?.message.contains("takes too long") == true)
        }
    }

    /// tests/apps/fuzz.py: changed files open as Python's package opens them, with its ids, or end in an error of ours.
    func testChangedFiles() throws {
        let folder = try XCTUnwrap(
            ProcessInfo.processInfo.environment["EDGEFORMER_FUZZ"],
            "EDGEFORMER_FUZZ: expected the folder that tests/apps/fuzz.py wrote"
        )
        let lines = try TokenizerCases.lines(URL(fileURLWithPath: folder).appendingPathComponent("tokenizers.jsonl"))
        var bases: [String: Data] = [:]
        var (opened, refused, wrong): (Int, Int, [String]) = (0, 0, [])
        for (index, line) in lines.enumerated() {
            let test = try TokenizerCases.json(line)
            let name = try test["base"].text()
            let base = try bases[name] ?? Data(contentsOf: Checkout.root.appendingPathComponent("tests/\(name)"))
            bases[name] = base
            do {
                let tokenizer = try Tokenizer([UInt8](try applied(test["edits"], to: base)))
                opened += 1
                let ids = try test["ids"].isNull ? [] : test["ids"].list()
                for (text, wanted) in zip(try test["texts"].list(), ids) where !wanted.isNull {
                    guard let got = try? tokenizer.encode(text.text()).ids else { continue }
                    let isEqual = got.map(Int.init) == (try TokenizerCases.integers(wanted))
                    if !isEqual { wrong.append("line \(index): \(got)") }
                }
            } catch {
                refused += 1
                let message = (error as? RuntimeBundleError)?.message
                if message == nil || message!.count > 800 { wrong.append("line \(index): \(error)") }
            }
        }
        print("tokenizers.jsonl: \(opened) opened, \(refused) refused, \(wrong.count) wrong")
        XCTAssertEqual(wrong.prefix(5), [], "\(wrong.count) of \(opened + refused)")
        XCTAssertGreaterThan(opened, 100)
        XCTAssertGreaterThan(refused, 100)
    }

    private func applied(_ edits: Json, to base: Data) throws -> Data {
        try edits.list().reduce(base) { text, edit in
            let edit = try edit.list()
            let (at, deleted) = (try edit[0].int(), try edit[1].int())
            let new = try XCTUnwrap(Data(base64Encoded: try edit[2].text()))
            return Data(text.prefix(at) + new + text.dropFirst(at + deleted))
        }
    }
}
