import Foundation
import XCTest

@testable import EdgeformerRuntime

/// Cases of tests/tokenizers, which its README.md describes.
enum TokenizerCases {
    static let vectors = Checkout.root.appendingPathComponent("tests/tokenizers/vectors")

    /// What `python tests/tokenizers/make_large.py` writes.
    static let large = ProcessInfo.processInfo.environment["EDGEFORMER_TOKENIZERS"].map { URL(fileURLWithPath: $0) }
        ?? Checkout.root.appendingPathComponent("build/tokenizers")

    /// The names, without `ending`, of the files of a folder that end so.
    static func names(in folder: URL, _ ending: String) throws -> [String] {
        let all = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        return all.filter { $0.hasSuffix(ending) }.map { String($0.dropLast(ending.count)) }.sorted()
    }

    static func json(_ bytes: some Collection<UInt8>) throws -> Json {
        try readJson(Array(bytes), "a test's file", maxBytes: 1 << 30, maxValues: 1 << 30)
    }

    /// The lines of a file of JSON.
    static func lines(_ file: URL) throws -> [Data] {
        try Data(contentsOf: file).split(separator: UInt8(ascii: "\n"))
    }

    /// The tokenizer.json inside of vectors/`name`.json.
    static func tokenizer(_ name: String) throws -> Tokenizer {
        let text = try String(contentsOf: vectors.appendingPathComponent("\(name).json"), encoding: .ascii)
        let start = try XCTUnwrap(text.range(of: "{\"tokenizer\":")).upperBound
        let end = try XCTUnwrap(text.range(of: ",\"texts\":", range: start..<text.endIndex)).lowerBound
        return try Tokenizer(Array(text[start..<end].utf8))
    }

    /// What comes out otherwise than a case says, in a sentence; nil where all is equal.
    static func difference(_ tokenizer: Tokenizer, _ texts: [String], _ wanted: Json) throws -> String? {
        let text = texts[try wanted["text"].int()]
        let second = try integer(wanted["second"]).map { texts[$0] }
        let truncation = try integer(wanted["max_length"]).map {
            let cut = try XCTUnwrap(cuts[try wanted["strategy"].text()])
            return Truncation(maxLength: $0, cut: cut, fromLeft: try wanted["direction"].text() == "left")
        }
        let error = try wanted.object()["error"]
        guard let got = try? tokenizer.encode(text, second, truncation: truncation) else {
            return error == nil ? "'\(text.prefix(200))': an error" : nil
        }
        if let error { return "'\(text.prefix(200))': expected an error: \(error)" }
        let compared: [(String, [Int?])] = [
            ("ids", got.ids.map(Int.init)), ("types", got.types), ("words", got.words), ("sequences", got.texts),
            ("offsets", zip(got.starts, got.ends).flatMap { [$0, $1] }),
        ]
        for (name, values) in compared {
            let expected = try integers(wanted[name])
            if values == expected { continue }
            let shown = [values, expected].map { $0.map { $0.map(String.init) ?? "nil" }.joined(separator: " ") }
            return "\(name) of '\(text.prefix(200))':\n  got    \(shown[0])\n  wanted \(shown[1])"
        }
        guard case .bool(got.tokensCut > 0) = try wanted["truncated"] else {
            return "'\(text.prefix(200))': \(got.tokensCut) tokens cut"
        }
        return nil
    }

    private static let cuts: [String: Cut] = ["longest_first": .longest, "only_first": .first, "only_second": .second]

    /// A list of integers and nulls.
    static func integers(_ list: Json) throws -> [Int?] {
        try list.list().map(integer)
    }

    private static func integer(_ value: Json) throws -> Int? {
        value.isNull ? nil : try value.int()
    }

    /// Seconds that this process has computed so far.
    static func cpuSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
