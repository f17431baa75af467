let noToken: Int32 = -1

/// Called with a part [from, to) of a buffer.
typealias Take = (_ from: Int, _ to: Int) -> Void

/// What is cut out of a piece: `take` is called with each part [from, to) of the buffer, in order.
typealias Cutter = (_ characters: [Int32], _ from: Int, _ to: Int, _ take: Take) throws -> Void

/// Writes a character, and the place in the buffer that it comes from.
typealias Write = (_ character: Int32, _ origin: Int) -> Void

/// A text cut into pieces: what pre-tokenizers make, and models take one by one.
///
/// All pieces lie in one buffer of characters with their places in the original (see NormalizedText). A piece that is
/// an added token has its id and isn't cut any more.
struct Pieces {
    struct Piece {
        let from: Int
        let to: Int
        /// The id of an added token; -1 for text.
        let token: Int32
    }

    let characters: [Int32]
    let starts: [Int32]
    let ends: [Int32]
    private(set) var all: [Piece] = []

    init(characters: [Int32], starts: [Int32], ends: [Int32]) {
        self.characters = characters
        self.starts = starts
        self.ends = ends
    }

    /// Adds a piece; an empty one is none.
    mutating func add(_ from: Int, _ to: Int, token: Int32 = noToken) {
        if from < to { all.append(Piece(from: from, to: to, token: token)) }
    }

    /// The same characters in smaller pieces.
    func cut(_ cutter: Cutter) rethrows -> Pieces {
        var result = Pieces(characters: characters, starts: starts, ends: ends)
        for piece in all {
            if piece.token != noToken {
                result.all.append(piece)
            } else {
                try cutter(characters, piece.from, piece.to) { from, to in result.add(from, to) }
            }
        }
        return result
    }

    /// Other characters: `rewrite` writes those of a piece [from, to).
    func rewrite(_ rewrite: (_ from: Int, _ to: Int, _ write: Write) -> Void) -> Pieces {
        var builder = PiecesBuilder(expected: characters.count)
        for piece in all {
            let write: Write = { character, origin in builder.write(character, starts[origin], ends[origin]) }
            if piece.token == noToken {
                rewrite(piece.from, piece.to, write)
            } else {
                for position in piece.from..<piece.to { write(characters[position], position) }
            }
            builder.endPiece(piece.token)
        }
        return builder.build()
    }
}

/// Writes pieces one after the other.
struct PiecesBuilder {
    private var characters: [Int32] = []
    private var starts: [Int32] = []
    private var ends: [Int32] = []
    private var bounds: [(end: Int, token: Int32)] = []

    init(expected: Int) {
        characters.reserveCapacity(expected + 16)
        starts.reserveCapacity(expected + 16)
        ends.reserveCapacity(expected + 16)
    }

    mutating func write(_ character: Int32, _ start: Int32, _ end: Int32) {
        characters.append(character)
        starts.append(start)
        ends.append(end)
    }

    /// Appends characters [from, to) of `text`.
    mutating func append(_ text: NormalizedText, _ from: Int, _ to: Int) {
        characters += text.characters[from..<to]
        starts += text.starts[from..<to]
        ends += text.ends[from..<to]
    }

    /// What was written since the last one is a piece.
    mutating func endPiece(_ token: Int32) {
        bounds.append((characters.count, token))
    }

    func build() -> Pieces {
        var pieces = Pieces(characters: characters, starts: starts, ends: ends)
        var from = 0
        for (end, token) in bounds {
            pieces.add(from, end, token: token)
            from = end
        }
        return pieces
    }
}
