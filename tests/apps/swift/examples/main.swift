// Runs examples/ios and what examples/ios_guide.md shows on bundles of tests/conformance, the folder that is named.

import EdgeformerRuntime
import Foundation

struct Failure: Error {
    let what: String
}

func expect(_ isSo: Bool, _ what: @autoclosure () -> String) throws {
    if !isSo { throw Failure(what: what()) }
}

/// The text and the prediction's label of a case that has no prompt.
func knownCase(_ conformance: URL) throws -> (text: String, label: String) {
    let file = conformance.appendingPathComponent("cases/text-classification.json")
    let known = try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any]
    for item in known?["cases"] as? [[String: Any]] ?? [] {
        guard let text = item["item"] as? String, !(item["prompt"] is String),
              let label = (item["prediction"] as? [String: Any])?["label"] as? String
        else { continue }
        return (text, label)
    }
    throw Failure(what: "\(file.path) has no case of a text")
}

let conformance = URL(fileURLWithPath: CommandLine.arguments[1])
let (text, label) = try knownCase(conformance)

let news = News() // of the guide; its bundle lies beside this program
try await expect(news.label(of: text) == label, "the guide gives another label than \(label)")

let bundle = conformance.appendingPathComponent("bundles/text-classification")
let sample = Sample(bundle: bundle)
do {
    _ = try await sample.predict(.text(text))
    throw Failure(what: "a bundle that isn't open predicts")
} catch let error as InputError {
    print("not open yet: \(explained(error))")
}
let opened = try await sample.open()
try expect(opened.agreement.contains("passed") && opened.kinds == ["text"], "\(opened)")
let found = try await sample.predict(.text(text))
try expect(found.lines.first?.hasPrefix(label) == true && found.ms > 0, "\(found)")
print("\(opened.engine): \(found.lines), \(found.ms) ms")
let file = try await sample.report()
let report = try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any]
try expect(report?["latency_ms"] != nil, "the report has no latency")

await sample.close()
do {
    _ = try await sample.predict(.text(text))
    throw Failure(what: "a closed session predicts")
} catch let error as InputError {
    print("closed: \(error.message)")
}

let session = try await Session.open(conformance.appendingPathComponent("bundles/image-text-similarity"))
let wav = try sound(file: conformance.appendingPathComponent("inputs/sound.wav"))
let pixels = try Picture(width: 1, height: 1, rgba: [1, 2, 3, 255])
do {
    try await more(session, picture: pixels, sound: wav)
    throw Failure(what: "one model takes all that there is")
} catch let error as InputError {
    print("another input: \(error.message)")
}
