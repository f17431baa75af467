import XCTest

@testable import EdgeformerRuntime

/// Tokenizers of a few hundred tokens with every kind of component, and those of bundles, as Python's `tokenizers`.
final class TokenizerTest: XCTestCase {
    func testVectors() throws {
        let names = try TokenizerCases.names(in: TokenizerCases.vectors, ".json")
        XCTAssertGreaterThanOrEqual(names.count, 9)
        for name in names {
            let file = TokenizerCases.vectors.appendingPathComponent("\(name).json")
            let test = try TokenizerCases.json(Checkout.bytes(file))
            let tokenizer = try TokenizerCases.tokenizer(name)
            let (texts, cases) = (try test["texts"].list().map { try $0.text() }, try test["cases"].list())
            XCTAssertGreaterThan(cases.count, 50)
            XCTAssertEqual(try cases.compactMap { try TokenizerCases.difference(tokenizer, texts, $0) }, [], name)
        }
    }

    /// Every text of tests/conformance whose tokens are written down there.
    func testBundles() throws {
        var compared = 0
        let folder = Checkout.conformance.appendingPathComponent("cases")
        for name in try TokenizerCases.names(in: folder, ".json") {
            let test = try Checkout.json("cases/\(name).json")
            let bundle = Checkout.conformance.appendingPathComponent("bundles/\(try test["bundle"].text())")
            let manifest = try TokenizerCases.json(Checkout.bytes(bundle.appendingPathComponent("manifest.json")))
            let written = try manifest["preprocess"].list().first { try $0["kind"].text() == "text" }
            guard let written else { continue }
            let preprocess = try readTextPreprocess(written, "preprocess")
            let content = try Checkout.bytes(bundle.appendingPathComponent(preprocess.tokenizer))
            let inputs = ["tokens", "mask"].map {
                TensorSpec(name: $0, dtype: .int64, shape: [], padValue: 0, role: $0)
            }
            let encoder = try TextEncoder(content, preprocess, inputs)
            for wanted in try test["cases"].list() {
                guard let offsets = try wanted.object()["offsets"], let ids = try wanted["inputs"].object()["input_ids"]
                else { continue }
                let item = try (try? wanted["item"].list()) ?? [wanted["item"]]
                let second = item.count == 2 ? try item[1].text() : nil
                let prompt = try wanted["prompt"].isNull ? nil : wanted["prompt"].text()
                let got = try encoder.encode(item[0].text(), second, prompt: prompt)
                let places = try got.places()
                XCTAssertEqual(got.feeds["tokens"]?.toDoubles(), try ids.numbers(), name)
                let found = zip(places.starts, places.ends).flatMap { [Double($0), Double($1)] }
                XCTAssertEqual(found, try offsets.numbers(), name)
                let prediction = try wanted["prediction"]
                XCTAssertEqual(got.tokens, try prediction["tokens"].int(), name)
                let cut = try prediction["tokens_cut"]
                XCTAssertEqual(got.tokensCut, cut.isNull ? nil : try cut.int(), name)
                compared += 1
            }
        }
        XCTAssertGreaterThan(compared, 15)
    }

    func testWhatCannotBeCutToFitIsRefused() throws {
        let tokenizer = try TokenizerCases.tokenizer("word_piece")
        let tooFew = Truncation(maxLength: 1)
        let second = Truncation(maxLength: 4, cut: .second)
        for (text, other, truncation) in [("a", nil, tooFew), ("a b c d", nil, second), ("a b c d e f", "x", second)] {
            XCTAssertThrowsError(try tokenizer.encode(text, other, truncation: truncation)) {
                XCTAssertTrue($0 is InputError)
            }
        }
    }

    /// Elsewhere half of a surrogate pair is refused; a Swift string can't hold one: what stands for it is U+FFFD.
    func testHalfOfASurrogatePairIsTheReplacementCharacter() throws {
        let text = String(decoding: [0x61, 0xd800, 0x62] as [UInt16], as: UTF16.self)
        XCTAssertEqual(codePoints(text), [0x61, 0xfffd, 0x62])
    }

    func testTextsThatOnlyLookAlikeAreToldApart() throws {
        let vocabulary = "{\"\\u00e9\": 0, \"e\\u0301\": 1, \"?\": 2}"
        let model = "{\"type\": \"WordLevel\", \"vocab\": \(vocabulary), \"unk_token\": \"?\"}"
        let tokenizer = try Tokenizer(Array("{\"model\": \(model)}".utf8))
        XCTAssertEqual(try tokenizer.encode("\u{e9}").ids, [0])
        XCTAssertEqual(try tokenizer.encode("e\u{301}").ids, [1])
    }

    func testLongTextsTakeTimeInProportion() throws {
        for name in try TokenizerCases.names(in: TokenizerCases.vectors, ".json") {
            let tokenizer = try TokenizerCases.tokenizer(name)
            for unit in ["a", " ", "the cat. ", "\u{301}", "\u{1f44d}", "\n "] {
                let seconds = try [5_000, 20_000].map { length -> Double in
                    let text = String(repeating: unit, count: length / unit.unicodeScalars.count)
                    let start = TokenizerCases.cpuSeconds()
                    _ = try tokenizer.encode(text)
                    return TokenizerCases.cpuSeconds() - start
                }
                XCTAssertLessThan(seconds[1], 12 * max(seconds[0], 0.1), "\(name), '\(unit)'")
            }
        }
    }

    /// 10 MB, or 300 kB where the compiler doesn't optimize, on a thread with the stack that an app's threads have.
    func testALongTextOnASmallStack() throws {
        #if DEBUG
            let repetitions = 9_000
        #else
            let repetitions = 300_000
        #endif
        let text = String(repeating: "The film isn't bad, Z\u{fc}rich \u{4e2d}! ", count: repetitions)
        for name in ["word_piece", "byte_fallback", "split_bytes", "unigram"] {
            onASmallStack {
                let start = TokenizerCases.cpuSeconds()
                let found = try? TokenizerCases.tokenizer(name).encode(text, truncation: Truncation(maxLength: 512))
                print("\(name): \(text.utf8.count) bytes in \(TokenizerCases.cpuSeconds() - start) s")
                XCTAssertEqual(found?.ids.count, 512, name)
                XCTAssertGreaterThan(found?.tokensCut ?? 0, repetitions * 5, name)
            }
        }
    }

    /// The longest that are taken: each character is a step of recursion.
    func testALongPatternOnASmallStack() throws {
        let literal = String(repeating: "a", count: 1000)
        onASmallStack {
            let pattern = "{\"String\": \"\(literal)\"}"
            let normalizer = "{\"type\": \"Replace\", \"pattern\": \(pattern), \"content\": \"b\"}"
            let model = "{\"type\": \"WordLevel\", \"vocab\": {\"bb\": 0, \"?\": 1}, \"unk_token\": \"?\"}"
            let file = "{\"normalizer\": \(normalizer), \"model\": \(model)}"
            let ids = try? Tokenizer(Array(file.utf8)).encode(literal + literal).ids
            XCTAssertEqual(ids, [0])
        }
    }

    private func onASmallStack(_ work: @escaping @Sendable () -> Void) {
        let ended = expectation(description: "ended")
        let thread = Thread {
            work()
            ended.fulfill()
        }
        thread.stackSize = 512 << 10
        thread.start()
        wait(for: [ended], timeout: 300)
    }
}
