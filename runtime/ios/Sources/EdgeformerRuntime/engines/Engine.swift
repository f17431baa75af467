/// Whether an engine can run a variant here; `reason` is nil exactly when it can.
///
/// `detail`: what decides results and speed beside `version`, an accelerator perhaps: what was remembered holds only
/// while it stays the same.
public struct Availability: Sendable {
    public let engine: String
    public let version: String?
    public let reason: String?
    public let detail: String?

    public init(engine: String, version: String?, reason: String?, detail: String? = nil) {
        self.engine = engine
        self.version = version
        self.reason = reason
        self.detail = detail
    }
}

/// Finds its library and loads variants. An app may bring its own.
public protocol Engine: Sendable {
    /// As the manifest names it: "onnxruntime", "coreml".
    var name: String { get }

    /// Can it run `variant` here?
    func availability(of variant: VariantEntry) -> Availability

    /// Load `model`, whose private copy is gone once this returns. `variant` has one graph.
    ///
    /// Raises EngineError with what to install or change.
    func load(_ model: ModelFile, _ variant: VariantEntry, threads: Int) async throws -> any LoadedModel
}

/// One graph in memory. Shapes are those of the file: padding and splitting happen above. What it holds is released
/// with the last reference to it.
public protocol LoadedModel: AnyObject, Sendable {
    /// "onnxruntime 1.31.1 (CPUExecutionProvider)"
    var label: String { get }

    /// What ran where, or was wanted and not used; empty where there is nothing to say.
    var delegation: [String] { get }

    /// One inference: {input name: tensor} to {output name: tensor}; raises EngineError. May be called from several
    /// threads at once; an engine that can't do that waits its turn.
    func run(_ feeds: [String: Tensor]) throws -> [String: Tensor]
}

/// Why `version` doesn't reach `minimum` ("1.19"); nil where it does.
func versionProblem(_ engine: String, _ version: String, _ minimum: String?) -> String? {
    guard let minimum else { return nil }
    func numbers(_ text: String) -> [Int] { text.split { !$0.isASCII || !$0.isNumber }.compactMap { Int($0) } }
    let found = numbers(version)
    for (index, needed) in numbers(minimum).enumerated() {
        let own = index < found.count ? found[index] : 0
        if own > needed { return nil }
        if own < needed { return "\(engine) \(version) is too old: the variant needs \(minimum): update it" }
    }
    return nil
}
