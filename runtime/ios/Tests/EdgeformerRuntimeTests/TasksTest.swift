import XCTest

@testable import EdgeformerRuntime

final class TasksTest: XCTestCase {
    private let encoded = Encoded(feeds: [:], tokens: 3)

    func testTheFirstOfEqualScoresIsTheBest() throws {
        let found = try classify(TaskSpec(kind: "text-classification", labels: ["a", "b", "c"]), [1, 2, 2])
        XCTAssertEqual(found.label, "b")
        XCTAssertEqual(found.labels, ["b"])
        XCTAssertEqual(found.scores.values.reduce(0, +), 1, accuracy: 1e-12)
    }

    func testSeveralLabelsAreThoseFromTheThresholdUp() throws {
        let spec = TaskSpec(kind: "text-classification", labels: ["a", "b", "c"], multiLabel: true, threshold: 0.5)
        XCTAssertEqual(try classify(spec, [0, -1, 3]).labels, ["a", "c"])
        XCTAssertEqual(try classify(spec, [-1, -2, -3]).labels, [])
    }

    func testLogitsOfAnySizeGiveFiniteScores() throws {
        for values in [[1e30, -1e30], [-1e30, -1e30]] as [[Float]] {
            for spec in [
                TaskSpec(kind: "text-classification", labels: ["a", "b"]),
                TaskSpec(kind: "text-classification", labels: ["a", "b"], multiLabel: true),
            ] {
                XCTAssert(try classify(spec, values).scores.values.allSatisfy(\.isFinite))
            }
        }
    }

    func testOutputsThatDontFitAreErrorsNotPredictions() throws {
        let spec = TaskSpec(kind: "text-classification", labels: ["a", "b"])
        for values in [[1, .nan], [1, .infinity], [1], [1, 2, 3]] as [[Float]] {
            XCTAssertThrowsError(try classify(spec, values)) { XCTAssert($0 is RuntimeBundleError) }
        }
        XCTAssertThrowsError(try task(spec).predict([:], encoded)) { XCTAssert($0 is RuntimeBundleError) }
    }

    func testSpecsThatSuchATaskDoesntHaveAreRefused() {
        for spec in [
            TaskSpec(kind: "token-classification", activation: "softmax"), TaskSpec(kind: "question-answering"),
            TaskSpec(kind: "image-text-similarity"), TaskSpec(kind: "feature-extraction", activation: "tanh"),
        ] {
            XCTAssertThrowsError(try task(spec), spec.kind) { XCTAssert($0 is RuntimeBundleError) }
        }
        let tanh = TaskSpec(kind: "image-text-similarity", activation: "tanh")
        XCTAssertThrowsError(try task(tanh, outputs: ["image", "text"])) { XCTAssert($0 is RuntimeBundleError) }
        XCTAssertThrowsError(try task(TaskSpec(kind: "later"))) { XCTAssert($0 is InputError) }
    }

    func testEntitiesAreRunsOfOneLabel() throws {
        let spec = TaskSpec(kind: "token-classification", labels: ["O", "B-X", "I-X", "Y"])
        let words = "ab c d e f" // six tokens: the first word has two
        let places = TextPlaces(
            starts: [0, 1, 3, 5, 7, 9], ends: [1, 2, 4, 6, 8, 10], words: [0, 0, 1, 2, 3, 4],
            texts: [0, 0, 0, 0, 0, 0], first: words, second: nil
        )
        let tags = [1, 0, 2, 1, 3, 3]
        let logits = tags.flatMap { tag in (0..<4).map { Float($0 == tag ? 100 : 0) } }
        let row = Encoded(feeds: [:], tokens: 6, text: places)
        let found = try task(spec).predict(["out": try Tensor(logits, [1, 6, 4])], row) as? TokenClassification
        XCTAssertEqual(found?.entities.map(\.label), ["X", "X", "Y"])
        XCTAssertEqual(found?.entities.map(\.text), ["ab c", "d", "e f"])
    }

    func testAnAnswerIsCutByCodePoints() throws {
        let text = "👍🏽 e\u{301} end"
        XCTAssertEqual(Array(between(text, 1, 5).unicodeScalars), Array("🏽 e\u{301}".unicodeScalars))
        XCTAssertEqual(between(text, 0, 0), "")
    }

    func testSimilarities() throws {
        let (a, b): ([Float], [Float]) = ([3, 4], [4, 3])
        XCTAssertEqual(try similarity(a, b), 24.0 / 25, accuracy: 1e-12)
        XCTAssertEqual(try similarity(a, b, "dot"), 24)
        XCTAssertEqual(try similarity(a, b, "euclidean"), -2.0.squareRoot(), accuracy: 1e-12)
        XCTAssertEqual(try similarity(a, b, "manhattan"), -2)
        XCTAssertEqual(try similarity([0, 0], b), 0)
        XCTAssertEqual(try similarity([.nan, 0], b), -.infinity)
        XCTAssertThrowsError(try similarity([1], b)) { XCTAssert($0 is InputError) }
        XCTAssertThrowsError(try similarity(a, b, "other")) { XCTAssert($0 is InputError) }
    }

    func testLabelsThatMeanNothingAreRefused() {
        for labels in [[], ["one"], ["one", "one"], ["one", " "], ["one", ""]] {
            XCTAssertThrowsError(try checkLabels(labels)) { XCTAssert($0 is InputError) }
        }
        XCTAssertNoThrow(try checkLabels(["one", "two"]))
    }

    private func task(_ spec: TaskSpec, outputs: [String] = ["out"]) throws -> any ModelTask {
        let specs = outputs.map { TensorSpec(name: $0, dtype: .float32, shape: [], padValue: 0, role: nil) }
        let found = try taskOf(spec, specs)
        return try XCTUnwrap(found)
    }

    private func classify(_ spec: TaskSpec, _ logits: [Float]) throws -> Classification {
        let found = try task(spec).predict(["out": try Tensor(logits, [1, logits.count])], encoded)
        return try XCTUnwrap(found as? Classification)
    }
}
