import Foundation
import XCTest

@testable import EdgeformerRuntime

/// Real texts and a real model: tests/apps/real_rows.py wrote what Python makes of them.
final class RealRowsTest: XCTestCase {
    func testLabelsScoresAndOutputsAreThoseOfPython() async throws {
        let folder = try Checkout.prepared("EDGEFORMER_REAL_ROWS")
        var options = SessionOptions()
        options.variant = "onnx"
        options.selfCheck = .always
        let session = try await Session.open(folder.appendingPathComponent("bundle"), options)
        XCTAssert(session.selfCheck.contains("passed"), session.selfCheck)
        let preprocess = try XCTUnwrap(session.manifest.preprocess.first as? TextPreprocess)
        let content = try Checkout.bytes(folder.appendingPathComponent("bundle/\(preprocess.tokenizer)"))
        let encoder = try TextEncoder(content, preprocess, session.manifest.inputs)
        let lines = try Checkout.bytes(folder.appendingPathComponent("rows.jsonl")).split(separator: UInt8(ascii: "\n"))
        XCTAssertGreaterThanOrEqual(lines.count, 100)
        var worst = 0.0
        for line in lines {
            let row = try readJson(Array(line), "rows.jsonl")
            let (text, known) = (try row["text"].text(), try row["variants"]["onnx"])
            let outputs = try await session.run(encoder.encode(text, nil, prompt: nil).feeds)
            for (name, wanted) in try known["outputs"].object() {
                let (found, numbers) = (try XCTUnwrap(outputs[name]).toDoubles(), try wanted.numbers())
                XCTAssertEqual(found.count, numbers.count)
                worst = zip(found, numbers).reduce(worst) { max($0, abs($1.0 - $1.1)) }
            }
            let predictions = try await session.predict([.text(text)])
            let found = try XCTUnwrap(predictions.first).toJson()
            XCTAssertEqual(try found["label"].text(), try known["label"].text(), text)
            XCTAssertEqual(try found["score"].double(), try known["score"].double(), accuracy: 1e-5, text)
        }
        print("onnx: \(lines.count) rows, outputs off by at most \(worst)")
        XCTAssertLessThanOrEqual(worst, 1e-5)
    }
}
