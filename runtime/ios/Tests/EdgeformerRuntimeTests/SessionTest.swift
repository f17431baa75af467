import Foundation
import XCTest

@testable import EdgeformerRuntime

private typealias Run = ([String: Tensor]) throws -> [String: Tensor]

/// Choosing, checking, padding, splitting.
final class SessionTest: FolderTestCase {
    private func options(_ engines: any Engine...) -> SessionOptions {
        var options = SessionOptions()
        options.threads = 1
        options.temporary = folder
        if !engines.isEmpty { options.engines = engines }
        return options
    }

    private func feeds(_ ids: [Int64], rows: Int = 1) throws -> [String: Tensor] {
        let shape = [rows, ids.count / rows]
        let mask = [Int64](repeating: 1, count: ids.count)
        return ["input_ids": try Tensor(ids, shape), "attention_mask": try Tensor(mask, shape)]
    }

    private func logits(_ session: Session, _ ids: [Int64]) async throws -> [Float] {
        let outputs = try await session.run(feeds(ids))
        return try XCTUnwrap(outputs["logits"]).toFloats()
    }

    func testTheFastestVariantIsTakenAndRemembered() async throws {
        let three = try changedVariant { variant in
            var (slow, lite) = (variant, variant)
            slow["name"] = "slow"
            lite["name"] = "lite"
            lite["engine"] = "litert"
            lite["format"] = "tflite"
            return [variant, slow, lite]
        }
        let engine = Wrapped { variant, feeds, run in
            if variant.name == "slow" { usleep(3000) }
            return try run(feeds)
        }
        var options = options(engine)
        options.memory = folder.appendingPathComponent("memory")
        let first = try await Session.open(three, options)
        XCTAssertEqual(first.variant.name, "onnx")
        XCTAssertEqual(first.skipped.count, 2, "\(first.skipped)")
        XCTAssert(first.skipped.contains { $0.hasPrefix("lite: it is made for litert") }, "\(first.skipped)")
        XCTAssert(first.skipped.contains { $0.hasPrefix("slow: ") && $0.contains("slower than onnx at") })
        let again = try await Session.open(three, options)
        XCTAssert(again.skipped.contains("slow: slower than onnx when measured here before"), "\(again.skipped)")
        XCTAssertEqual(again.selfCheck, "self-check: passed on this machine before")
        XCTAssertEqual(engine.loads, 3) // not "slow" the second time
    }

    func testAnEngineThatGivesWrongResultsIsRefused() async throws {
        let wrong = Wrapped { _, feeds, run in
            try run(feeds).mapValues { try Tensor($0.dtype, $0.toDoubles().map { -$0 }, $0.shape) }
        }
        await assertThrows(EngineError.self, "self-check failed") {
            try await Session.open(Checkout.bundle("text-classification"), self.options(wrong))
        }
        XCTAssertEqual(wrong.loads, 1)
        XCTAssertEqual(wrong.models, 0) // it is released
    }

    func testNotANumberIsNoPrediction() async throws {
        let engine = Wrapped { _, feeds, run in
            try run(feeds).mapValues { try Tensor($0.dtype, [Double](repeating: .nan, count: $0.count), $0.shape) }
        }
        var options = options(engine)
        options.selfCheck = .never
        let session = try await Session.open(Checkout.bundle("text-classification"), options)
        await assertThrows(RuntimeBundleError.self, "NaN") { try await session.predict([.text("good")]) }
    }

    func testWhatCantRunSaysWhy() async throws {
        let plain = Checkout.bundle("text-classification")
        var none = options()
        none.engines = []
        await assertThrows(EngineError.self, "this app has no engine") { try await Session.open(plain, none) }
        let old = try changedVariant { [$0.merging(["min_engine_version": "99.1"]) { $1 }] }
        await assertThrows(EngineError.self, "too old") { try await Session.open(old, self.options()) }
        let other = try changedVariant { [$0.merging(["engine_packages": ["other_package"]]) { $1 }] }
        await assertThrows(EngineError.self, "only with other_package") {
            try await Session.open(other, self.options())
        }
        let stepping = try changedVariant { variant in
            var main = try members(XCTUnwrap(variant["graphs"])["main"])
            main["states"] = [["input": "a", "output": "b", "axis": Json(1), "update": "append"]]
            return [variant.merging(["graphs": ["main": object(main)]]) { $1 }]
        }
        await assertThrows(EngineError.self, "runs in steps") { try await Session.open(stepping, self.options()) }
        var wrong = options()
        wrong.variant = "none"
        await assertThrows(InputError.self, "no variant 'none'") { try await Session.open(plain, wrong) }
        wrong.threads = 0
        await assertThrows(InputError.self, "threads 0") { try await Session.open(plain, wrong) }
    }

    func testVersionsAreComparedAsNumbers() {
        XCTAssertNil(versionProblem("x", "1.19.0", "1.19"))
        XCTAssertNil(versionProblem("x", "1.20", "1.19.5"))
        XCTAssertNil(versionProblem("x", "1", nil))
        XCTAssert(versionProblem("x", "1.9", "1.19")?.contains("too old") == true)
    }

    func testAModelFileThatIsNoneIsAnEngineError() async throws {
        let content = Data("no model".utf8)
        let path = "variants/onnx/model.onnx"
        let broken = try changed { manifest in
            let files = try XCTUnwrap(manifest["files"]).list().map { entry in
                if try entry["path"].text() != path { return entry }
                return ["path": .string(path), "bytes": Json(content.count), "sha256": Json(sha256(content))] as Json
            }
            manifest["files"] = .list(files)
        }
        try content.write(to: broken.appendingPathComponent(path))
        await assertThrows(EngineError.self, "can't load") { try await Session.open(broken, self.options()) }
    }

    func testPaddingAndSplittingChangeNothing() async throws {
        let plain = try await Session.open(Checkout.bundle("text-classification"), options())
        let shapes = Locked<[[Int]]>([])
        let watch = Wrapped { _, feeds, run in
            shapes.with { $0.append(feeds["input_ids"]!.shape) }
            return try run(feeds)
        }
        let fixed = try changedVariant { variant in
            [variant.merging(["lengths": ["sequence": [Json(4), Json(16)]], "fixed_batch": Json(2)]) { $1 }]
        }
        let session = try await Session.open(fixed, options(watch))
        XCTAssert(session.selfCheck.contains("passed"))
        shapes.with { $0 = [] }
        let (expected, found) = (try await logits(plain, [2, 4, 5, 4, 3]), try await logits(session, [2, 4, 5, 4, 3]))
        XCTAssertEqual(found, expected)
        let rows = try await session.run(feeds([2, 4, 3, 2, 5, 3, 2, 9, 3], rows: 3))
        XCTAssertEqual(shapes.with { $0 }, [[2, 16], [2, 4], [2, 4]])
        var single: [Float] = []
        for id in [4, 5, 9] as [Int64] { single += try await logits(plain, [2, id, 3]) }
        XCTAssertEqual(rows["logits"]?.toFloats(), single)
        await assertThrows(InputError.self, "longer than variant") {
            try await self.logits(session, [Int64](repeating: 4, count: 17))
        }
    }

    func testOutputsOfTokensAreCutBack() async throws {
        let name = "token-classification"
        let padded = try changedVariant(name) { [$0.merging(["lengths": ["sequence": [Json(16)]]]) { $1 }] }
        let plain = try await Session.open(Checkout.bundle(name), options())
        let session = try await Session.open(padded, options())
        let (a, b) = (try await plain.run(feeds([2, 6, 7, 8, 9, 3])), try await session.run(feeds([2, 6, 7, 8, 9, 3])))
        XCTAssertEqual(b["logits"]?.shape, [1, 6, 3])
        XCTAssertEqual(a, b)
    }

    func testWrongFeedsAreRefused() async throws {
        let session = try await Session.open(Checkout.bundle("text-classification"), options())
        let good = try feeds([2, 4, 3])
        let others: [[String: Tensor]] = [
            ["attention_mask": try Tensor([Int64](repeating: 1, count: 2), [1, 2])],
            ["input_ids": try Tensor([2, 4, 3] as [Int64], [3])],
            ["input_ids": try Tensor(zeros: .float32, [1, 3])],
            ["input_ids": try Tensor(zeros: .int64, [1, 0])],
            ["more": try Tensor(zeros: .int64, [1])],
        ]
        for other in others {
            await assertThrows(InputError.self) { try await session.run(good.merging(other) { $1 }) }
        }
        await assertThrows(InputError.self) { try await session.run([:]) }
        let tensors = try await Session.open(Checkout.bundle("tensors"), options())
        await assertThrows(InputError.self, "takes arrays alone") { try await tensors.predict([.text("a")]) }
    }

    func testNothingIsLeftInTheTemporaryFolder() async throws {
        let archive = try Checkout.expectedFolder().appendingPathComponent("archives/deflated.zip")
        let session = try await Session.open(archive, options())
        XCTAssertFalse(FileManager.default.everything(below: folder).isEmpty)
        session.close()
        XCTAssertEqual(FileManager.default.everything(below: folder), [])
    }
}

/// ONNX Runtime behind something that each run goes through.
final class Wrapped: Engine {
    typealias Around = @Sendable (
        VariantEntry, [String: Tensor], ([String: Tensor]) throws -> [String: Tensor]
    ) throws -> [String: Tensor]

    private let inner = OnnxRuntimeEngine()
    private let around: Around
    private let counts = Locked((loads: 0, models: 0))

    init(_ around: @escaping Around) { self.around = around }

    var name: String { inner.name }

    /// How many models were loaded, and how many of them are there.
    var loads: Int { counts.with { $0.loads } }
    var models: Int { counts.with { $0.models } }

    func availability(of variant: VariantEntry) -> Availability { inner.availability(of: variant) }

    func load(_ model: ModelFile, _ variant: VariantEntry, threads: Int) async throws -> any LoadedModel {
        let loaded = try await inner.load(model, variant, threads: threads)
        counts.with { $0 = ($0.loads + 1, $0.models + 1) }
        let (around, counts) = (around, counts)
        return WrappedModel(loaded, { try around(variant, $0, $1) }, { counts.with { $0.models -= 1 } })
    }
}

private final class WrappedModel: LoadedModel {
    private let inner: any LoadedModel
    private let around: @Sendable ([String: Tensor], Run) throws -> [String: Tensor]
    private let released: @Sendable () -> Void

    init(
        _ inner: any LoadedModel, _ around: @escaping @Sendable ([String: Tensor], Run) throws -> [String: Tensor],
        _ released: @escaping @Sendable () -> Void
    ) {
        (self.inner, self.around, self.released) = (inner, around, released)
    }

    deinit { released() }

    var label: String { inner.label }
    var delegation: [String] { inner.delegation }

    func run(_ feeds: [String: Tensor]) throws -> [String: Tensor] { try around(feeds, inner.run) }
}
