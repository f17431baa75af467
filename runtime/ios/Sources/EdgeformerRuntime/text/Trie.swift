/// A prefix tree of tokens, one code point an edge.
struct Trie {
    static let root: Int32 = 0

    private var edges: PairMap
    private var values: [Int32] = [-1]

    /// `expected`: about how many characters all tokens have.
    init(expected: Int) {
        edges = PairMap(expected: expected)
    }

    /// The last of several values for one token counts.
    mutating func add(_ token: some Sequence<Int32>, _ value: Int32) {
        var node = Self.root
        for character in token {
            var child = edges.value(node, character)
            if child == -1 {
                child = Int32(values.count)
                values.append(-1)
                edges.set(node, character, child)
            }
            node = child
        }
        values[Int(node)] = value
    }

    /// The node behind `character`, or -1.
    func child(_ node: Int32, _ character: Int32) -> Int32 {
        edges.value(node, character)
    }

    /// The value of the token that ends at `node`, or -1.
    func value(_ node: Int32) -> Int32 {
        values[Int(node)]
    }

    /// The node behind `characters`, or -1.
    func walk(_ characters: some Sequence<Int32>) -> Int32 {
        var node = Self.root
        for character in characters {
            node = edges.value(node, character)
            if node == -1 { return -1 }
        }
        return node
    }
}
