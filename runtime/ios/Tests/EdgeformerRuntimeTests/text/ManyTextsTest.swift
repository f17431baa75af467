import XCTest

@testable import EdgeformerRuntime

/// Every text and tokenizer of build/tokenizers, which `python tests/tokenizers/make_large.py` writes.
final class ManyTextsTest: XCTestCase {
    private func names() throws -> [String] {
        let file = TokenizerCases.large.appendingPathComponent("origins.json")
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw XCTSkip("\(file.path) isn't there: python tests/tokenizers/make_large.py wasn't run")
        }
        return try TokenizerCases.json(Checkout.bytes(file)).object().keys
    }

    private func texts() throws -> [String] {
        let file = TokenizerCases.large.appendingPathComponent("texts.json")
        return try TokenizerCases.json(Checkout.bytes(file)).list().map { try $0.text() }
    }

    private func content(_ name: String) throws -> [UInt8] {
        try Checkout.bytes(TokenizerCases.large.appendingPathComponent("\(name).json"))
    }

    func testAsPython() throws {
        let (names, texts) = (try names(), try texts())
        XCTAssertGreaterThanOrEqual(names.count, 8)
        for name in names {
            let tokenizer = try Tokenizer(content(name))
            let lines = try TokenizerCases.lines(TokenizerCases.large.appendingPathComponent("\(name).jsonl"))
            let differences = try lines.compactMap {
                try TokenizerCases.difference(tokenizer, texts, TokenizerCases.json($0))
            }
            print("\(name): \(differences.count) of \(lines.count) cases of \(texts.count) texts differ")
            XCTAssertEqual(differences.prefix(3), [], name)
            XCTAssertGreaterThanOrEqual(lines.count, texts.count)
        }
    }

    /// Prints how fast each tokenizer is. Of use in release alone:
    /// swift test -c release -Xswiftc -enable-testing --filter ManyTextsTest/testSpeed
    func testSpeed() throws {
        let (names, texts) = (try names(), try texts())
        let real = texts.filter { $0.utf8.count > 60 && $0.unicodeScalars.allSatisfy { $0.value < 0x250 } }.prefix(1500)
        let long = String(real.joined(separator: " ").unicodeScalars.prefix(1_000_000))
        for name in names {
            let content = try content(name)
            let start = TokenizerCases.cpuSeconds()
            let tokenizer = try Tokenizer(content)
            let openMs = (TokenizerCases.cpuSeconds() - start) * 1000
            let speeds = try [Array(real), Array(texts.suffix(1500)), [long]].map { items in
                String(format: "%.1f", try megabytesASecond(tokenizer, items))
            }
            print(
                "\(name): real texts \(speeds[0]) MB/s, mixtures \(speeds[1]), one text of a megabyte \(speeds[2]);",
                "opened in \(Int(openMs)) ms"
            )
        }
    }

    /// Of UTF-8, in processor time: the median of five runs.
    private func megabytesASecond(_ tokenizer: Tokenizer, _ texts: [String]) throws -> Double {
        let bytes = texts.reduce(0) { $0 + $1.utf8.count }
        let seconds = try (0..<5).map { _ -> Double in
            let start = TokenizerCases.cpuSeconds()
            for text in texts { _ = try tokenizer.encode(text, truncation: Truncation(maxLength: 512)) }
            return TokenizerCases.cpuSeconds() - start
        }
        return Double(bytes) / 1e6 / seconds.sorted()[2]
    }
}
