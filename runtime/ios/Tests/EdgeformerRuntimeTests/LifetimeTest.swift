import Foundation
import XCTest

@testable import EdgeformerRuntime

/// What an app does to a session: closes it, leaves while it opens, has no space, uses it from everywhere at once.
final class LifetimeTest: FolderTestCase {
    private func options(_ engine: some Engine = OnnxRuntimeEngine()) -> SessionOptions {
        var options = SessionOptions()
        options.threads = 1
        options.engines = [engine]
        options.temporary = folder
        return options
    }

    private func left() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path)
    }

    func testAClosedSessionRefusesEveryCall() async throws {
        let session = try await Session.open(Checkout.bundle("text-classification"), options())
        session.close()
        session.close()
        await assertThrows(InputError.self) { try await session.predict([.text("good")]) }
        await assertThrows(InputError.self) { try await session.run([:]) }
        await assertThrows(InputError.self) { try await session.embed([.text("good")], kind: "text") }
        await assertThrows(InputError.self) { try await session.benchmark(.quick) }
        XCTAssertEqual(session.manifest.task.kind, "text-classification") // what was read stays
    }

    func testACallThatIsInsideEndsWellWhenTheSessionIsClosed() async throws {
        let engine = WaitingEngine()
        let session = try await Session.open(Checkout.bundle("text-classification"), options(engine))
        engine.gate.waits = true
        async let inside = session.predict([.text("good")])
        await engine.gate.entered()
        session.close()
        await assertThrows(InputError.self) { try await session.predict([.text("good")]) }
        engine.gate.waits = false
        let found = try await inside
        XCTAssert(found.first is Classification)
    }

    func testALoadThatIsCancelledLeavesNothing() async throws {
        let engine = WaitingEngine()
        engine.gate.waits = true // in the golden rows, which are run when a bundle is opened
        let (bundle, options) = (Checkout.bundle("text-classification"), options(engine))
        let load = Task { try await Session.open(bundle, options) }
        await engine.gate.entered()
        load.cancel()
        engine.gate.waits = false
        await assertThrows(CancellationError.self) { try await load.value }
        XCTAssertEqual(try left(), [])
    }

    func testALoadThatWasCancelledBeforeItBeganDoesNothing() async throws {
        let (bundle, options) = (Checkout.bundle("text-classification"), options())
        let load = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await Session.open(bundle, options)
        }
        await assertThrows(CancellationError.self) { try await load.value }
        XCTAssertEqual(try left(), [])
    }

    /// A limit on the size of files stands for a full disk: writing fails in the middle.
    func testWithoutSpaceForTheCopyTheErrorSaysSoAndNothingIsLeft() async throws {
        let bundle = Checkout.bundle("text-classification")
        let usual = limitFiles(to: 100)
        await assertThrows(RuntimeBundleError.self, "File too large") { try await Session.open(bundle, self.options()) }
        XCTAssertEqual(try left(), [])
        _ = limitFiles(to: usual)
        let session = try await Session.open(bundle, options()) // the bundle is as it was
        session.close()
    }

    func testAFolderThatCantBeWrittenIsATypedError() async throws {
        var options = options()
        options.temporary = folder.appendingPathComponent("file")
        try Data().write(to: options.temporary)
        let known = options
        await assertThrows(RuntimeBundleError.self) {
            try await Session.open(Checkout.bundle("text-classification"), known)
        }
    }

    func testSeveralTasksUseOneSessionAtOnce() async throws {
        let session = try await Session.open(Checkout.bundle("text-classification"), options())
        let texts = ["good", "bad", "good bad", "bad bad good"]
        var alone: [String] = []
        for text in texts { alone.append("\(try await session.predict([.text(text)])[0])") }
        let known = alone
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<64 {
                group.addTask {
                    let found = try await session.predict([.text(texts[index % texts.count])])
                    XCTAssertEqual("\(found[0])", known[index % texts.count])
                }
            }
            try await group.waitForAll()
        }
    }

    func testItemsThatTheModelDoesntTakeAreRefused() async throws {
        let session = try await Session.open(Checkout.bundle("text-classification"), options())
        let picture = try Picture(width: 1, height: 1, rgba: [0, 0, 0, 255])
        let sound = try Sound(samples: [0], rateHz: 8000)
        for item in [Item.image(picture), .audio(sound), .imageText(picture, "x"), .text("a", second: "b")] {
            await assertThrows(InputError.self) { try await session.predict([item]) }
        }
        await assertThrows(InputError.self) { try await session.predict([.text("a")], labels: ["a", "b"]) }
        await assertThrows(InputError.self) { try await session.predict([.text("a")], prompt: "none of this name") }
        let none = try await session.predict([])
        XCTAssert(none.isEmpty)
    }
}

/// The soft limit on the bytes of a file that this process writes; the one before is returned.
private func limitFiles(to bytes: rlim_t) -> rlim_t {
    signal(SIGXFSZ, SIG_IGN)
    var limit = rlimit()
    getrlimit(.init(RLIMIT_FSIZE.rawValue), &limit)
    let usual = limit.rlim_cur
    limit.rlim_cur = bytes
    setrlimit(.init(RLIMIT_FSIZE.rawValue), &limit)
    return usual
}

/// ONNX Runtime, whose calls wait as long as its gate says.
private struct WaitingEngine: Engine {
    let gate = WaitingGate()
    private let inner = OnnxRuntimeEngine()

    var name: String { inner.name }

    func availability(of variant: VariantEntry) -> Availability { inner.availability(of: variant) }

    func load(_ model: ModelFile, _ variant: VariantEntry, threads: Int) async throws -> any LoadedModel {
        WaitingModel(try await inner.load(model, variant, threads: threads), gate)
    }
}

private final class WaitingModel: LoadedModel {
    private let inner: any LoadedModel
    private let gate: WaitingGate

    init(_ inner: any LoadedModel, _ gate: WaitingGate) {
        self.inner = inner
        self.gate = gate
    }

    var label: String { inner.label }
    var delegation: [String] { inner.delegation }

    func run(_ feeds: [String: Tensor]) throws -> [String: Tensor] {
        gate.pass()
        return try inner.run(feeds)
    }
}

private final class WaitingGate: @unchecked Sendable {
    private let condition = NSCondition()
    private var isWaiting = false
    private var isInside = false

    var waits: Bool {
        get { condition.withLock { isWaiting } }
        set {
            condition.withLock { (isWaiting, isInside) = (newValue, false) }
            condition.broadcast()
        }
    }

    func pass() {
        condition.lock()
        isInside = true
        while isWaiting { condition.wait() }
        condition.unlock()
    }

    /// A call came in since the gate waits.
    func entered() async {
        while !condition.withLock({ isInside && isWaiting }) { try? await Task.sleep(nanoseconds: 1_000_000) }
    }
}
