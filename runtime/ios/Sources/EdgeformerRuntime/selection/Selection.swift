private let warmupRuns = 3
private let trialRuns = 7
private let memoryName = "variant-choice.json"

/// How to load: with which engines, threads and checks. `predicted`: the inputs of a prediction, which trials are made
/// with.
struct LoadOptions: Sendable {
    let engines: [any Engine]
    let threads: Int
    let selfCheck: SelfCheckMode
    let memory: Memory
    let predicted: [TensorSpec]
}

/// A variant in memory; `loadMs` is what loading took, `firstInferenceMs` its first run, once there was one.
struct Loaded: Sendable {
    let runner: any Runner
    let loadMs: Double
    var firstInferenceMs: Double?
    let check: SelfCheck
}

/// What runs, and why each other variant doesn't; `isShared`: several were loaded to find out.
struct Choice: Sendable {
    let loaded: Loaded
    let skipped: [String]
    let isShared: Bool
}

private struct Candidate {
    let variant: VariantEntry
    let engine: (any Engine)?
    let availability: Availability

    init(_ variant: VariantEntry, _ options: LoadOptions) {
        self.variant = variant
        engine = options.engines.first { $0.name == variant.engine }
        if let reason = cannotRun(variant) {
            availability = Availability(engine: variant.engine, version: nil, reason: reason)
        } else if let engine {
            availability = engine.availability(of: variant)
        } else {
            let names = options.engines.map(\.name).joined(separator: ", ")
            availability = Availability(
                engine: variant.engine, version: nil,
                reason: "it is made for \(variant.engine), and this app has \(names.isEmpty ? "no engine" : names)"
            )
        }
    }
}

/// Load `variant`; raises EngineError where no engine here can, or its results are wrong.
func load(_ bundle: ModelBundle, _ variant: VariantEntry, _ options: LoadOptions) async throws -> Loaded {
    try await load(bundle, Candidate(variant, options), options)
}

private func load(_ bundle: ModelBundle, _ candidate: Candidate, _ options: LoadOptions) async throws -> Loaded {
    let found = candidate.availability
    guard let engine = candidate.engine, found.reason == nil else {
        throw EngineError("variant '\(candidate.variant.name)' can't run here: \(found.reason ?? "no engine")")
    }
    let start = nanoseconds()
    let runner = try await openRunner(candidate.variant, bundle.manifest) { path, entry in
        try await bundle.loading(path) { try await engine.load($0, entry, threads: options.threads) }
    }
    let loadMs = Double(nanoseconds() - start) / 1e6
    let check = try selfCheck(bundle, runner, found.detail, options.selfCheck, options.memory)
    return Loaded(runner: runner, loadMs: loadMs, firstInferenceMs: check.firstInferenceMs, check: check)
}

/// The fastest variant here whose results are right; which one is remembered for this bundle, these engines, threads
/// and processor. Raises EngineError where none is usable, with the reason of each.
func choose(_ bundle: ModelBundle, _ options: LoadOptions) async throws -> Choice {
    let manifest = bundle.manifest
    let found = manifest.variants.map { Candidate($0, options) }
    var skipped = manifest.skipped("variant").map { "\($0.name): \($0.reason)" }
    for candidate in found {
        if let reason = candidate.availability.reason { skipped.append("\(candidate.variant.name): \(reason)") }
    }
    let usable = found.filter { $0.availability.reason == nil }
    let facts = [bundle.digest, "\(options.threads)", deviceFacts().processor]
        + usable.map { "\($0.variant.name) \($0.availability)" }
    let key = sha256(Array(facts.joined(separator: "\n").utf8))
    let name = usable.count > 1 ? options.memory.recall(memoryName, key) : nil
    if let remembered = usable.first(where: { $0.variant.name == name }) {
        do {
            let loaded = try await load(bundle, remembered, options)
            let others = usable.map(\.variant.name).filter { $0 != name }
            let slower = others.map { "\($0): slower than \(remembered.variant.name) when measured here before" }
            return Choice(loaded: loaded, skipped: skipped + slower, isShared: false)
        } catch is EngineError {
            // memory or the engine changed since: measure again
        }
    }
    var loaded: [Loaded] = []
    for candidate in usable {
        do {
            loaded.append(try await load(bundle, candidate, options))
        } catch let error as EngineError {
            skipped.append("\(candidate.variant.name): \(error.message)")
        }
    }
    if loaded.count == 1 { return Choice(loaded: loaded[0], skipped: skipped, isShared: false) }
    return try fastest(bundle, loaded, &skipped, options, key)
}

private func fastest(
    _ bundle: ModelBundle, _ loaded: [Loaded], _ skipped: inout [String], _ options: LoadOptions, _ key: String
) throws -> Choice {
    let ranked = try trial(bundle, loaded, &skipped, options).sorted { $0.ms < $1.ms }
    guard let best = ranked.first else {
        let reasons = skipped.joined(separator: "; ")
        throw EngineError(
            "bundle '\(bundle.manifest.name)': no variant can run here: \(reasons); "
                + "'edgeformer inspect BUNDLE --for ios' says what to add"
        )
    }
    let name = best.loaded.runner.variant.name
    for other in ranked.dropFirst() {
        let slower = "\(fixed(other.ms, 3)) ms, slower than \(name) at \(fixed(best.ms, 3)) ms"
        skipped.append("\(other.loaded.runner.variant.name): \(slower)")
    }
    if ranked.count > 1 { options.memory.remember(memoryName, key, name) }
    return Choice(loaded: best.loaded, skipped: skipped, isShared: loaded.count > 1)
}

/// The median ms of each of `loaded`, timed in turns; those that fail go to `skipped`.
private func trial(
    _ bundle: ModelBundle, _ loaded: [Loaded], _ skipped: inout [String], _ options: LoadOptions
) throws -> [(loaded: Loaded, ms: Double)] {
    if loaded.isEmpty { return [] }
    let sizes = typicalSizes(bundle.manifest, options.predicted, loaded.map(\.runner.variant))
    let feeds = try syntheticFeeds(options.predicted, sizes)
    var timed = loaded.map { (loaded: $0, times: [Double]()) }
    for _ in 0..<warmupRuns + trialRuns {
        try Task.checkCancellation()
        var left: [(loaded: Loaded, times: [Double])] = []
        for var item in timed {
            let start = nanoseconds()
            do {
                _ = try item.loaded.runner.run(feeds)
            } catch let error as EngineError {
                skipped.append("\(item.loaded.runner.variant.name): \(error.message)")
                continue
            }
            item.times.append(Double(nanoseconds() - start) / 1e6)
            item.loaded.firstInferenceMs = item.loaded.firstInferenceMs ?? item.times[0]
            left.append(item)
        }
        timed = left
    }
    return timed.map { ($0.loaded, median(Array($0.times.dropFirst(warmupRuns)))) }
}
