import Foundation
import XCTest

@testable import EdgeformerRuntime

/// What tests/conformance says that every reader gets, of every task.
final class ConformanceTest: XCTestCase {
    func testOutputsAndPredictions() async throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Checkout.conformance.path + "/bundles").sorted()
        XCTAssertGreaterThanOrEqual(names.count, 10)
        for name in names {
            var options = SessionOptions()
            options.threads = 1
            options.selfCheck = .always
            let session = try await Session.open(Checkout.bundle(name), options)
            XCTAssert(session.selfCheck.contains("passed"), "\(name): \(session.selfCheck)")
            for known in try Checkout.json("cases/\(name).json")["cases"].list() {
                try await check(session, try known.object(), name)
            }
            session.close()
        }
    }

    private func check(_ session: Session, _ known: OrderedMap<Json>, _ name: String) async throws {
        let given = try XCTUnwrap(known["arrays"] ?? known["inputs"]).object()
        var feeds: [String: Tensor] = [:]
        for spec in session.manifest.inputs {
            if let value = given[spec.name] { feeds[spec.name] = try tensor(value, spec.dtype) }
        }
        let outputs = try await session.run(feeds)
        let expected = try XCTUnwrap(known["outputs"]).object()
        XCTAssertEqual(outputs.keys.sorted(), expected.keys.sorted())
        for (key, value) in expected {
            let found = try XCTUnwrap(outputs[key])
            XCTAssertEqual(found.shape, try value.sizes(), name)
            assertNear(found.toDoubles(), try value.numbers(), "\(name): \(key)")
        }
        guard let given = known["item"] else { return } // arrays
        let item = try item(given, session.manifest.preprocess.map(\.kind))
        let labels = try known["labels"].map { try $0.list().map { try $0.text() } }
        let prompt = try known["prompt"].flatMap { $0.isNull ? nil : try $0.text() }
        let found = try await session.predict([item], prompt: prompt, labels: labels)
        try assertClose(try XCTUnwrap(found.first).toJson(), try XCTUnwrap(known["prediction"]), name)
    }

    private func item(_ given: Json, _ kinds: [String]) throws -> Item {
        if case .list(let pair) = given {
            let second = try pair[1].text()
            if kinds == ["text"] { return .text(try pair[0].text(), second: second) }
            return .imageText(try Checkout.picture(try pair[0].text()), second)
        }
        if kinds == ["text"] { return .text(try given.text()) }
        if kinds == ["audio"] { return .audio(try Checkout.sound(try given.text())) }
        return .image(try Checkout.picture(try given.text()))
    }

    private func tensor(_ value: Json, _ dtype: DType) throws -> Tensor {
        try Tensor(dtype, try value.numbers(), try value.sizes())
    }

    private func assertNear(_ found: [Double], _ expected: [Double], _ place: String) {
        XCTAssertEqual(found.count, expected.count, place)
        let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
        XCTAssertLessThanOrEqual(worst, 1e-5, place)
    }

    /// Preprocessing alone: the same inputs, integers exactly, and the same places of tokens.
    func testItemsBecomeTheInputsOfPython() async throws {
        for name in ["image-classification", "audio-classification", "text-classification", "question-answering"] {
            let bundle = try ModelBundle(at: Checkout.bundle(name))
            for known in try Checkout.json("cases/\(name).json")["cases"].list() {
                let encoded = try encoded(try known.object(), bundle)
                for (key, value) in try known["inputs"].object() {
                    assertNear(try XCTUnwrap(encoded.feeds[key]).toDoubles(), try value.numbers(), "\(name): \(key)")
                }
                guard let places = encoded.text, let offsets = try known.object()["offsets"] else { continue }
                let found = zip(places.starts, places.ends).flatMap { [$0, $1] }
                XCTAssertEqual(found, try offsets.numbers().map { Int($0) })
            }
        }
    }

    private func encoded(_ known: OrderedMap<Json>, _ bundle: ModelBundle) throws -> Encoded {
        let (item, preprocess) = (try XCTUnwrap(known["item"]), try XCTUnwrap(bundle.manifest.preprocess.first))
        switch preprocess {
        case let image as ImagePreprocess: return Encoded(feeds: try ImageEncoder(image).encode(
            try Checkout.picture(try item.text())
        ))
        case let audio as AudioPreprocess: return try AudioEncoder(audio).encode(try Checkout.sound(try item.text()))
        default:
            let text = try XCTUnwrap(preprocess as? TextPreprocess)
            let encoder = try TextEncoder(try bundle.read(text.tokenizer), text, bundle.manifest.inputs)
            let prompt = try known["prompt"].flatMap { $0.isNull ? nil : try $0.text() }
            guard case .list(let pair) = item else { return try encoder.encode(try item.text(), nil, prompt: prompt) }
            return try encoder.encode(try pair[0].text(), try pair[1].text(), prompt: prompt)
        }
    }

    func testStoredPredictionsAreWhatStoredOutputsMean() throws {
        for name in ["text-classification", "several-labels", "feature-extraction"] {
            let bundle = try ModelBundle(at: Checkout.bundle(name))
            let golden = try XCTUnwrap(try readGolden(bundle))
            let variant = try XCTUnwrap(golden.variants["onnx"])
            let task = try XCTUnwrap(try taskOf(bundle.manifest.task, bundle.manifest.outputs))
            XCTAssert(variant.predictions.contains { $0 != nil })
            for case (let told?, let outputs) in zip(variant.predictions, variant.outputs) {
                let cut = try told["tokens_cut"].flatMap { $0.isNull ? nil : try $0.int() }
                let isTruncated = try aBoolean(try XCTUnwrap(told["truncated"]), name)
                let tokens = try XCTUnwrap(told["tokens"]).int()
                let encoded = Encoded(feeds: [:], tokens: tokens, isTruncated: isTruncated, tokensCut: cut)
                try assertClose(try task.predict(outputs, encoded).toJson(), .object(told), name)
            }
        }
    }
}
