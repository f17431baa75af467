public let formatVersion = 2
public let batch = "batch"
public let sequence = "sequence"
let mainGraph = "main" // the graph that is the model as one function

/// One size of a tensor: a number, or the name of a dimension that varies ("batch", "sequence").
public enum Dim: Hashable, Sendable, CustomStringConvertible {
    case fixed(Int)
    case named(String)

    public var description: String {
        switch self {
        case .fixed(let size): return "\(size)"
        case .named(let name): return name
        }
    }
}

/// A named tensor. `padValue` fills up inputs, `role` says what feeds them (nil: the caller alone knows).
public struct TensorSpec: Hashable, Sendable {
    public let name: String
    public let dtype: DType
    public let shape: [Dim]
    public let padValue: Double
    public let role: String?

    /// The axis of the dimension called `name`; nil where there is none.
    public func axis(of name: String) -> Int? { shape.firstIndex(of: .named(name)) }
}

/// One function of a variant; `inputs` and `outputs` are nil where they are the manifest's.
public struct Graph: Sendable {
    public let path: String
    public let inputs: [TensorSpec]?
    public let outputs: [TensorSpec]?
    public let hasStates: Bool
}

/// The variant's figure on the evaluation rows of the compile.
public struct Verification: Sendable {
    public let samples: Int
    public let metricName: String?
    public let metric: Double?
}

/// One exported form of the model. `lengths`: sizes that a named dimension can have; `fixedBatch`: nil is any.
public struct VariantEntry: Sendable {
    public let name: String
    public let format: String
    public let engine: String
    public internal(set) var graphs: OrderedMap<Graph>
    public let sizeBytes: Int
    public let lengths: OrderedMap<[Int]>
    public let fixedBatch: Int?
    public let weightFormats: OrderedMap<Int>
    public let enginePackages: [String]
    public let minEngineVersion: String?
    public let verification: Verification?

    /// The same variant with `graph` alone, as its main one.
    func with(only graph: Graph) -> VariantEntry {
        var entry = self
        entry.graphs = OrderedMap()
        _ = entry.graphs.append(mainGraph, graph)
        return entry
    }

    /// Path of its main graph's file; raises EngineError where it has none.
    public func path() throws -> String {
        if let main = graphs[mainGraph] { return main.path }
        let names = graphs.keys.joined(separator: ", ")
        throw EngineError("variant '\(name)': has graphs \(names) and none called '\(mainGraph)'")
    }
}

/// What the model does, and what its outputs mean; FORMAT.md says how each is used.
public struct TaskSpec: Sendable {
    public let kind: String
    public var labels: [String] = []
    public var multiLabel = false
    public var regression = false
    public var activation: String?
    public var similarity: String?
    public var threshold = 0.5
    public var longestAnswer = 30
    public var scale = 1.0
    public var bias = 0.0
    public var hypothesisTemplate: String?
    public var labelVectors: String?
}

/// One file of the bundle.
public struct FileEntry: Sendable {
    public let path: String
    public let bytes: Int
    public let sha256: String
}

/// A part ("variant", "preprocess", "task") that this release doesn't know; what is asked of it is refused.
public struct Skipped: Sendable {
    public let part: String
    public let name: String
    public let reason: String
}

/// How something becomes input tensors. `files`: paths of the bundle that it reads.
public protocol Preprocess: Sendable {
    var kind: String { get }
    var files: [String] { get }
}

/// The whole of manifest.json; `recipe`, `sources` and `metrics` are handed on as JSON data.
public struct Manifest: Sendable {
    public let name: String
    public let task: TaskSpec
    public let inputs: [TensorSpec]
    public let outputs: [TensorSpec]
    public let files: [FileEntry]
    public let variants: [VariantEntry]
    public let preprocess: [any Preprocess]
    public let targets: [String]
    public let recipe: OrderedMap<Json>
    public let sources: OrderedMap<Json>
    public let metrics: OrderedMap<Json>
    public let producer: String
    public let skipped: [Skipped]

    /// The variant called `name`; raises InputError naming those that exist, or why it was skipped.
    public func variant(_ name: String) throws -> VariantEntry {
        if let entry = variants.first(where: { $0.name == name }) { return entry }
        if let skipped = skipped("variant").first(where: { $0.name == name }) {
            let reason = "variant '\(name)' was skipped: \(skipped.reason): update the runtime"
            throw InputError("bundle '\(self.name)': \(reason)")
        }
        let names = variants.map(\.name).joined(separator: ", ")
        throw InputError("bundle '\(self.name)' has no variant '\(name)': expected auto, \(names)")
    }

    /// What was skipped of one part.
    public func skipped(_ part: String) -> [Skipped] { skipped.filter { $0.part == part } }
}
