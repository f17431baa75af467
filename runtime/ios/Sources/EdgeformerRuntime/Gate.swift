import Foundation

/// A value that one thread at a time looks at.
final class Locked<Value>: @unchecked Sendable {
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) { self.value = value }

    func with<T>(_ use: (inout Value) throws -> T) rethrows -> T {
        lock.lock()
        defer { lock.unlock() }
        return try use(&value)
    }
}

/// What a session holds until it is closed. A call that is inside keeps its own reference, so that what it uses is
/// released by whoever leaves last.
final class Gate<Held: Sendable>: Sendable {
    private let held: Locked<Held?>

    init(_ held: Held) { self.held = Locked(held) }

    /// What is held; raises InputError once the gate is closed.
    func enter() throws -> Held {
        guard let held = held.with({ $0 }) else { throw InputError("the session is closed: open another one") }
        return held
    }

    /// Let nobody in any more; twice is harmless.
    func close() { held.with { $0 = nil } }
}
