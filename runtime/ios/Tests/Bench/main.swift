import Foundation

@testable import EdgeformerRuntime

// bench.sh runs this, with the checkout's root: the speed of tokenizers, and what a session adds to its engine's own
// call.

private let minSeconds = 2.0
private let tokens = 64
private let calls = 2_000

/// MB of UTF-8 a second, one thread, over the checkout's own prose, line by line.
private func tokenizerSpeeds(_ root: URL) throws -> [(key: String, value: Json)] {
    let names = ["README.md", "CONTRIBUTING.md", "runtime/FORMAT.md", "runtime/README.md", "runtime/ios/README.md"]
    let prose = try names.map { try String(contentsOf: root.appendingPathComponent($0), encoding: .utf8) }
    let lines = prose.flatMap { $0.split(separator: "\n").map(String.init) }
    let bytes = lines.reduce(0) { $0 + $1.utf8.count }
    let folder = root.appendingPathComponent("tests/tokenizers/vectors")
    return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { name in
        let content = try Array(Data(contentsOf: folder.appendingPathComponent(name)))
        let vectors = try readJson(content, name, maxBytes: 1 << 26, maxValues: 1 << 24)
        let tokenizer = try Tokenizer(Array(jsonText(anObject(vectors, name)["tokenizer"] ?? .null).utf8))
        var passes = 0
        let start = nanoseconds()
        while Double(nanoseconds() - start) < minSeconds * 1e9 {
            for line in lines { _ = try tokenizer.encode(line) }
            passes += 1
        }
        let seconds = Double(nanoseconds() - start) / 1e9
        let speed = Double(passes * bytes) / 1e6 / seconds
        return (String(name.dropLast(".json".count)), .number((speed * 100).rounded() / 100))
    }
}

/// (ratio, µs): medians of `Session.run` against the engine's own call with the same feeds, in turns.
private func overhead(_ bundle: URL) async throws -> (Double, Double) {
    var options = SessionOptions()
    options.threads = 1
    options.selfCheck = .never
    let session = try await Session.open(bundle, options)
    let opened = try ModelBundle(at: bundle)
    let variant = session.variant
    let model = try await opened.loading(variant.path()) {
        try await OnnxRuntimeEngine().load($0, variant, threads: 1)
    }
    let feeds = try syntheticFeeds(session.manifest.inputs, [sequence: tokens])
    var (bare, whole): ([Double], [Double]) = ([], [])
    for _ in 0..<calls {
        let start = nanoseconds()
        _ = try model.run(feeds)
        let middle = nanoseconds()
        _ = try await session.run(feeds)
        bare.append(Double(middle - start) / 1e3)
        whole.append(Double(nanoseconds() - middle) / 1e3)
    }
    return (median(whole) / median(bare) - 1, median(whole) - median(bare))
}

let root = URL(fileURLWithPath: CommandLine.arguments[1])
let speeds = try tokenizerSpeeds(root)
let (ratio, microseconds) = try await overhead(URL(fileURLWithPath: CommandLine.arguments[2]))
let line: Json = [
    "tokenizer_mb_per_s": Json(speeds), "overhead_ratio": .number(ratio), "overhead_us": .number(microseconds),
]
print(jsonText(line).split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: " "))
