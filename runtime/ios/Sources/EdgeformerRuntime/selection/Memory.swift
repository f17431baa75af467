import Foundation

private let maxRemembered = 200
private let maxBytes = 1 << 20
private let lock = NSLock()

/// What was found out on this device before, in JSON files of `directory`; nil: nothing is kept. Losing it costs time
/// alone.
struct Memory: Sendable {
    let directory: URL?

    func recall(_ file: String, _ key: String) -> String? {
        lock.lock()
        defer { lock.unlock() }
        guard case .string(let value)? = read(file)[key] else { return nil }
        return value
    }

    func remember(_ file: String, _ key: String, _ value: String) {
        guard let directory else { return }
        lock.lock()
        defer { lock.unlock() }
        var kept = OrderedMap<Json>()
        for (old, item) in read(file).filter({ $0.key != key }).suffix(maxRemembered - 1) { _ = kept.append(old, item) }
        _ = kept.append(key, .string(value))
        // A full or read-only disk: it is measured again next time.
        try? FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try? Data(jsonText(.object(kept)).utf8).write(to: directory.appendingPathComponent(file), options: .atomic)
    }

    private func read(_ file: String) -> OrderedMap<Json> {
        guard let directory, let content = try? Data(contentsOf: directory.appendingPathComponent(file)),
              case .object(let object)? = try? readJson(Array(content), file, maxBytes: maxBytes)
        else { return OrderedMap() }
        return object
    }
}
