/// Named values in the order in which they were added. Names are told apart by their bytes: for Swift's own String "é"
/// equals "e" with an accent behind it, and a dictionary would lose one of the two.
public struct OrderedMap<Value: Sendable>: Sequence, Sendable {
    private var entries: [(key: String, value: Value)] = []
    private var places: [ExactText: Int] = [:]

    public init() {}

    public var keys: [String] { entries.map(\.key) }
    public var values: [Value] { entries.map(\.value) }
    public var count: Int { entries.count }
    public var isEmpty: Bool { entries.isEmpty }

    public subscript(key: String) -> Value? { places[ExactText(key)].map { entries[$0].value } }

    /// Add `value` at the end; false, and nothing changes, where `key` is there already.
    public mutating func append(_ key: String, _ value: Value) -> Bool {
        let name = ExactText(key)
        if places[name] != nil { return false }
        places[name] = entries.count
        entries.append((key, value))
        return true
    }

    public func makeIterator() -> IndexingIterator<[(key: String, value: Value)]> { entries.makeIterator() }

    mutating func reserve(_ count: Int) {
        entries.reserveCapacity(count)
        places.reserveCapacity(count)
    }
}

/// A text that equals another one only where every byte does.
struct ExactText: Hashable, Sendable {
    let text: String

    init(_ text: String) { self.text = text }

    static func == (left: ExactText, right: ExactText) -> Bool {
        left.text.utf8.count == right.text.utf8.count && left.text.utf8.elementsEqual(right.text.utf8)
    }

    func hash(into hasher: inout Hasher) {
        if text.utf8.withContiguousStorageIfAvailable({ hasher.combine(bytes: UnsafeRawBufferPointer($0)) }) == nil {
            for byte in text.utf8 { hasher.combine(byte) }
        }
    }
}
