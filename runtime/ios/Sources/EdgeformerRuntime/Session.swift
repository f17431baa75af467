import Foundation

public let runtimeVersion = "0.1.0 (Swift)"

/// How a session is opened. Threads default to the processors that this process may use.
public struct SessionOptions: Sendable {
    /// A name of the manifest, or "auto": every usable variant is timed for a moment, and the fastest taken.
    public var variant = "auto"
    public var threads = ProcessInfo.processInfo.activeProcessorCount

    /// The bundle must be signed with one of them; none: no signature is looked at.
    public var keys: [SigningKey] = []
    public var selfCheck = SelfCheckMode.first

    /// What may run variants; the first of a variant's name does.
    public var engines: [any Engine] = defaultEngines()

    /// Where choices and passed checks are kept, as an app's Application Support; nil: nothing is kept.
    public var memory: URL?

    /// A folder that only this app can write to, as that of an app on iOS is.
    public var temporary = FileManager.default.temporaryDirectory

    public init() {}
}

/// Every engine that this build of the runtime has.
public func defaultEngines() -> [any Engine] {
    var engines: [any Engine] = []
    #if canImport(CoreML)
    engines.append(CoreMLEngine())
    #endif
    #if canImport(COnnxRuntime)
    engines.append(OnnxRuntimeEngine())
    #endif
    return engines
}

/// One variant of a bundle, loaded. Every method may be called from several tasks at once; none works on the main
/// thread. `close` returns at once: calls that are inside end well, and the last of them releases the model; later ones
/// raise InputError.
public final class Session: Sendable {
    public let manifest: Manifest

    /// SHA-256 of manifest.json, which names the bundle.
    public let digest: String

    /// The variant that runs.
    public let variant: VariantEntry

    /// What runs it: engine, version and what it runs on.
    public let engine: String

    /// Which variants aren't used, each with its reason.
    public let skipped: [String]

    /// How the comparison with the verified outputs ended, in words.
    public let selfCheck: String

    private let gate: Gate<Opened>

    private init(_ opened: Opened) {
        manifest = opened.bundle.manifest
        digest = opened.bundle.digest
        variant = opened.runner.variant
        engine = opened.runner.label
        skipped = opened.choice.skipped
        selfCheck = opened.choice.loaded.check.text
        gate = Gate(opened)
    }

    /// Open and verify the bundle at `location`, a directory or a .zip of one, read its tokenizer where it has one, and
    /// load one variant.
    ///
    /// Raises RuntimeBundleError for the bundle, also where its tokenizer has a part or a setting that this runtime
    /// doesn't know, EngineError when nothing here can run it, InputError for a wrong argument.
    public static func open(_ location: URL, _ options: SessionOptions = SessionOptions()) async throws -> Session {
        if options.threads < 1 { throw InputError("threads \(options.threads): expected an integer of at least 1") }
        try Task.checkCancellation()
        let bundle = try ModelBundle(at: location, keys: options.keys, temporary: options.temporary)
        let rss = peakRssBytes()
        let texts = try textEncoder(of: bundle) // before an engine is asked: what is refused costs no load of a model
        let how = LoadOptions(
            engines: options.engines, threads: options.threads, selfCheck: options.selfCheck,
            memory: Memory(directory: options.memory), predicted: predicted(bundle.manifest)
        )
        let choice: Choice
        if options.variant == "auto" {
            choice = try await choose(bundle, how)
        } else {
            let loaded = try await load(bundle, bundle.manifest.variant(options.variant), how)
            choice = Choice(loaded: loaded, skipped: [], isShared: false)
        }
        try Task.checkCancellation()
        return Session(Opened(bundle, texts, choice, options, rss))
    }

    /// One inference: {input name: tensor} to {output name: tensor}, as the manifest describes both. Rows are split and
    /// padded as the variant's file needs. Raises InputError, EngineError.
    public func run(_ feeds: [String: Tensor]) async throws -> [String: Tensor] { try gate.enter().run(feeds) }

    /// The task's result for each of `items`, one row at a time. `prompt` names one of the bundle's prompts (nil: its
    /// default, "": none), `labels` are others than the bundle's own, for zero-shot-image-classification.
    ///
    /// Raises InputError, EngineError, RuntimeBundleError, CancellationError.
    public func predict(
        _ items: [Item], prompt: String? = nil, labels: [String]? = nil
    ) async throws -> [any Prediction] {
        let predictor = try gate.enter().predictor()
        return try items.flatMap { item in
            try Task.checkCancellation()
            return try predictor.predict([item], prompt: prompt, labels: labels)
        }
    }

    /// The vector of each of `items`; `kind` says whether they are of "image" or "text". Raises as `predict`.
    public func embed(_ items: [Item], kind: String, prompt: String? = nil) async throws -> [Embedding] {
        let predictor = try gate.enter().predictor()
        return try items.flatMap { item in
            try Task.checkCancellation()
            return try predictor.embed([item], kind: kind, prompt: prompt)
        }
    }

    /// Measure single rows of synthetic input and report. `runs` or `durationS` set how much is timed, over all repeats
    /// together; `throttles` are asked whether the device slows itself down. Raises InputError, EngineError,
    /// CancellationError.
    public func benchmark(
        _ protocol: MeasuringProtocol = .standard,
        runs: Int? = nil,
        durationS: Double? = nil,
        sequenceLength: Int? = nil,
        throttles: [any ThrottleSource] = throttleSources()
    ) async throws -> Report {
        let opened = try gate.enter()
        let inputs = Session.predicted(manifest)
        var sizes = typicalSizes(manifest, inputs, [variant])
        if let sequenceLength {
            if sequenceLength < 1 || sizes[sequence] == nil {
                throw InputError(
                    "sequence length \(sequenceLength): expected at least 1, of a model whose inputs have a sequence"
                )
            }
            sizes[sequence] = sequenceLength
        }
        let feeds = try syntheticFeeds(inputs, sizes)
        _ = try opened.run(feeds) // the first inference, before the idle baseline: it may allocate
        let started = ISO8601DateFormatter().string(from: Date()).replacingOccurrences(of: "Z", with: "+00:00")
        let found = try await measure(
            { _ = try opened.runner.run(feeds) }, Instruments(throttles: throttles), `protocol`, runs: runs,
            durationS: durationS
        )
        return Report(opened.facts(asked: sizes[sequence], started), found)
    }

    public func close() { gate.close() }

    private static func predicted(_ manifest: Manifest) -> [TensorSpec] {
        // A task of a later release has no kinds: arrays still run.
        let task = try? taskOf(manifest.task, manifest.outputs)
        return predictionInputs(manifest, taskKinds: task?.kinds ?? [])
    }
}

/// What a session holds until it is closed.
private final class Opened: Sendable {
    let bundle: ModelBundle
    private let texts: TextEncoder?
    let choice: Choice
    private let options: SessionOptions
    private let rssBeforeBytes: Int?
    private let timed: TimedRunner
    private let madePredictor = Locked<Predictor?>(nil)

    var runner: any Runner { choice.loaded.runner }

    init(
        _ bundle: ModelBundle, _ texts: TextEncoder?, _ choice: Choice, _ options: SessionOptions,
        _ rssBeforeBytes: Int?
    ) {
        self.bundle = bundle
        self.texts = texts
        self.choice = choice
        self.options = options
        self.rssBeforeBytes = rssBeforeBytes
        timed = TimedRunner(choice.loaded)
    }

    func run(_ feeds: [String: Tensor]) throws -> [String: Tensor] { try timed.run(feeds) }

    func predictor() throws -> Predictor {
        try madePredictor.with { made in
            if let made { return made }
            let predictor = try Predictor(bundle, texts, checks: options.selfCheck != .never, run: timed.run)
            made = predictor
            return predictor
        }
    }

    func facts(asked: Int?, _ started: String) -> ReportFacts {
        let manifest = bundle.manifest
        let variant = runner.variant
        var reasons: [String: String] = [:]
        let length = asked.map { asked in variant.lengths[sequence]?.first { $0 >= asked } ?? asked }
        if length == nil { reasons["sequence_length"] = "the model's inputs have no sequence" }
        var padded: [String] = []
        if let asked, let length, asked != length {
            padded = ["\(asked) positions were asked for: the variant pads to \(length)"]
        }
        let peak = peakRssBytes()
        let untold = "this system doesn't tell a process its peak memory"
        if peak == nil { reasons["peak_rss_bytes"] = untold }
        var growth: Int?
        if choice.isShared {
            reasons["peak_rss_growth_bytes"] =
                "several variants were loaded to choose one: name the variant to measure it"
        } else if let peak, let rssBeforeBytes {
            growth = max(0, peak - rssBeforeBytes)
        } else {
            reasons["peak_rss_growth_bytes"] = untold
        }
        let device = deviceFacts()
        if device.physicalCores == nil { reasons["device.physical_cores"] = "this runtime doesn't ask for them here" }
        var accuracy: Json = nil
        if let check = variant.verification, let name = check.metricName, let metric = check.metric {
            accuracy = ["metric": Json(name), "value": Json(metric), "samples": Json(check.samples)]
        } else {
            reasons["accuracy"] = "the bundle was compiled without labelled evaluation rows"
        }
        return ReportFacts(
            bundleName: manifest.name,
            bundleDigest: bundle.digest,
            variant: variant.name,
            engine: runner.label,
            threads: options.threads,
            sequenceLength: length,
            loadMs: choice.loaded.loadMs,
            firstInferenceMs: timed.firstInferenceMs,
            peakRssBytes: peak,
            peakRssGrowthBytes: growth,
            delegation: padded + runner.delegation + [choice.loaded.check.text],
            skipped: choice.skipped,
            accuracy: accuracy,
            device: device,
            startedAt: started,
            runtimeVersion: runtimeVersion,
            reasons: reasons
        )
    }
}

/// Runs, and remembers how long the first run took.
private final class TimedRunner: Sendable {
    private let runner: any Runner
    private let firstMs: Locked<Double?>

    init(_ loaded: Loaded) {
        runner = loaded.runner
        firstMs = Locked(loaded.firstInferenceMs)
    }

    var firstInferenceMs: Double? { firstMs.with { $0 } }

    @Sendable
    func run(_ feeds: [String: Tensor]) throws -> [String: Tensor] {
        let start = nanoseconds()
        let outputs = try runner.run(feeds)
        let ms = Double(nanoseconds() - start) / 1e6
        firstMs.with { $0 = $0 ?? ms }
        return outputs
    }
}
