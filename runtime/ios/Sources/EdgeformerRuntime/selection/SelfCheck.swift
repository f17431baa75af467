import Foundation

/// When a variant answers the bundle's golden rows: once a bundle, engine and processor, each time, or not at all.
public enum SelfCheckMode: Sendable {
    case first, always, never
}

/// Of places where one number clearly leads, so many must lead in the answer too.
private let decisiveShare = 0.98
private let decisiveSigmas = 6.0
private let memoryName = "self-check.json"

/// How a self-check ended; `similarity` and `firstInferenceMs` are nil where no row was run.
struct SelfCheck: Sendable {
    let text: String
    var similarity: Double?
    var firstInferenceMs: Double?
}

/// Compare a loaded variant with its golden rows; raises EngineError where it gives wrong results.
func selfCheck(
    _ bundle: ModelBundle, _ runner: any Runner, _ detail: String?, _ mode: SelfCheckMode, _ memory: Memory
) throws -> SelfCheck {
    if mode == .never { return SelfCheck(text: "self-check: switched off") }
    let name = runner.variant.name
    guard let golden = try readGolden(bundle), let expected = golden.variants[name] else {
        return SelfCheck(text: "self-check: none: the bundle holds no golden rows for '\(name)'")
    }
    let facts = [bundle.digest, name, runner.label, detail ?? "", deviceFacts().processor]
    let key = sha256(Array(facts.joined(separator: "\n").utf8))
    if mode == .first && memory.recall(memoryName, key) == "passed" {
        return SelfCheck(text: "self-check: passed on this machine before")
    }
    let check = try compare(runner, golden, expected)
    memory.remember(memoryName, key, "passed")
    return check
}

private func compare(_ runner: any Runner, _ golden: Golden, _ expected: GoldenVariant) throws -> SelfCheck {
    let start = nanoseconds()
    var firstMs: Double?
    var answers: [[String: Tensor]] = []
    for row in golden.rows {
        try Task.checkCancellation()
        do {
            answers.append(try runner.run(row))
        } catch let error as InputError {
            throw RuntimeBundleError("golden.json: a row doesn't fit the variant's inputs: \(error.message)", .golden)
        }
        firstMs = firstMs ?? Double(nanoseconds() - start) / 1e6
    }
    func wrong(_ found: String) -> EngineError {
        EngineError(
            "variant '\(runner.variant.name)' on \(runner.label): self-check failed: this engine gives wrong results "
                + "for this file: \(found) (they were made by \(expected.executedBy)). Use another variant or engine"
        )
    }
    let needed = expected.similarityMin
    let least = similarities(answers, expected.outputs).min() ?? 1
    if !(least >= needed) { throw wrong("similarity \(least) with the verified outputs, \(needed) is needed") }
    let (agreeing, decisive) = decisions(answers, expected)
    if Double(agreeing) < decisiveShare * Double(decisive) {
        throw wrong("of \(decisive) clear decisions in the verified outputs it makes \(agreeing)")
    }
    let text = "self-check: passed: \(answers.count) rows, least similarity \(fixed(least, 6)) with the verified "
        + "outputs, \(needed) needed; \(agreeing) of \(decisive) clear decisions equal"
    return SelfCheck(text: text, similarity: least, firstInferenceMs: firstMs)
}

/// For each row 1 − |a − b|² / (2 · max(|a| |b|, m²)), m the median length of the `expected` rows; −1 where something
/// isn't finite or has another shape.
func similarities(_ answers: [[String: Tensor]], _ expected: [[String: Tensor]]) -> [Double] {
    let usual = median(expected.map { norm(vector($0, of: $0)) })
    return zip(answers, expected).map { answer, row in
        if !row.allSatisfy({ answer[$0.key]?.shape == $0.value.shape }) { return -1 }
        return similarity(vector(answer, of: row), vector(row, of: row), usual)
    }
}

private func similarity(_ a: [Double], _ b: [Double], _ usual: Double) -> Double {
    if !a.allSatisfy(\.isFinite) { return -1 }
    let error = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    if error == 0 { return 1 }
    let scale = max(norm(a) * norm(b), usual * usual)
    return scale > 0 ? max(-1, 1 - error / (2 * scale)) : -1
}

private func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }

/// The outputs of `row` behind each other, in the order of the names of `expected`.
private func vector(_ row: [String: Tensor], of expected: [String: Tensor]) -> [Double] {
    expected.keys.sorted().flatMap { row[$0]!.toDoubles() }
}

/// (how many clear decisions are equal, how many there are): a decision is the largest number along an output's last
/// axis.
private func decisions(_ answers: [[String: Tensor]], _ expected: GoldenVariant) -> (Int, Int) {
    var (agreeing, decisive) = (0, 0)
    for (answer, row) in zip(answers, expected.outputs) {
        let reference = vector(row, of: row)
        let share = 2 * (1 - expected.similarityMin) / Double(reference.count)
        let allowed = norm(reference) * share.squareRoot()
        for (name, right) in row {
            let size = right.shape.last ?? 0
            if size < 2 { continue }
            let (a, b) = (answer[name]!.toDoubles(), right.toDoubles())
            for start in stride(from: 0, to: b.count, by: size) {
                let place = b[start..<start + size]
                let best = firstOfLargest(place)
                let second = place.indices.filter { $0 != best }.map { b[$0] }.max()!
                if b[best] - second <= decisiveSigmas * allowed { continue }
                decisive += 1
                if firstOfLargest(a[start..<start + size]) == best { agreeing += 1 }
            }
        }
    }
    return (agreeing, decisive)
}

private func firstOfLargest(_ values: ArraySlice<Double>) -> Int {
    values.indices.dropFirst().reduce(values.startIndex) { values[$1] > values[$0] ? $1 : $0 }
}

/// `value` with so many digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String {
    String(format: "%.\(digits)f", locale: Locale(identifier: "en_US_POSIX"), value)
}
