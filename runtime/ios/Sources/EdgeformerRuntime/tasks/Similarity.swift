/// How near two vectors are, larger is nearer; `name` is the manifest's (`task.similarity`), nil is cosine.
///
/// Euclidean and Manhattan are negated distances. -infinity where a vector isn't finite. Throws InputError for other
/// lengths or another name.
public func similarity(_ first: [Float], _ second: [Float], _ name: String? = nil) throws -> Double {
    if first.count != second.count {
        throw InputError("similarity: vectors of \(first.count) and \(second.count) numbers: expected as many in both")
    }
    guard first.allSatisfy(\.isFinite), second.allSatisfy(\.isFinite) else { return -Double.infinity }
    func sum(_ term: (Double, Double) -> Double) -> Double {
        zip(first, second).reduce(0.0) { $0 + term(Double($1.0), Double($1.1)) }
    }
    switch name {
    case nil, "cosine":
        return sum { $0 * $1 } / max(sum { a, _ in a * a }.squareRoot() * sum { _, b in b * b }.squareRoot(), 1e-12)
    case "dot": return sum { $0 * $1 }
    case "euclidean": return -sum { ($0 - $1) * ($0 - $1) }.squareRoot()
    case "manhattan": return -sum { abs($0 - $1) }
    default: throw InputError("similarity '\(name ?? "")': expected cosine, dot, euclidean or manhattan")
    }
}
