#if canImport(CoreML)
import CoreML
import Foundation

private let maxKept = 4 // compiled models; each is as large as the model

/// Core ML, with the compute units that are asked for. A model is compiled for the device once and kept in `cache`, by
/// its content and the system's version; those that weren't used longest are removed.
public struct CoreMLEngine: Engine {
    public let name = "coreml"
    private let computeUnits: MLComputeUnits
    private let cache: URL

    /// `cache`: where compiled models are kept; its files can be made again, so it need not be backed up.
    public init(computeUnits: MLComputeUnits = .all, cache: URL = CoreMLEngine.usualCache) {
        self.computeUnits = computeUnits
        self.cache = cache
    }

    /// A folder of the app's caches.
    public static var usualCache: URL {
        let caches = FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first
        return (caches ?? FileManager.default.temporaryDirectory).appendingPathComponent("edgeformer-coreml")
    }

    public func availability(of variant: VariantEntry) -> Availability {
        let version = ProcessInfo.processInfo.operatingSystemVersion
        let system = "\(version.majorVersion).\(version.minorVersion).\(version.patchVersion)"
        if variant.engine != name || variant.format != "coreml" {
            return Availability(engine: name, version: system, reason: "it is made for \(variant.engine)")
        }
        let minimum = variant.minEngineVersion.map { systemVersion(of: $0) }
        return Availability(
            engine: name, version: system, reason: versionProblem("the system", system, minimum),
            detail: "compute units asked for: \(computeUnits.text)"
        )
    }

    public func load(_ model: ModelFile, _ variant: VariantEntry, threads: Int) async throws -> any LoadedModel {
        do {
            let kept = try await compiled(model)
            let configuration = MLModelConfiguration()
            configuration.computeUnits = computeUnits
            let loaded = try await MLModel.load(contentsOf: kept.url, configuration: configuration)
            return CoreMLModel(loaded, [
                kept.told, "compute units asked for: \(computeUnits.text); Core ML doesn't tell which of them it uses",
                "threads are Core ML's own",
            ])
        } catch let error as any EdgeformerError {
            throw error
        } catch let error as CancellationError {
            throw error
        } catch {
            throw EngineError("variant '\(variant.name)': Core ML can't load it: \(error.localizedDescription)")
        }
    }

    /// The compiled form of `model`, and what became of it in words.
    private func compiled(_ model: ModelFile) async throws -> (url: URL, told: String) {
        let system = ProcessInfo.processInfo.operatingSystemVersionString.filter { $0.isLetter || $0.isNumber }
        let url = cache.appendingPathComponent("\(model.sha256)-\(system).mlmodelc")
        let files = FileManager.default
        if files.fileExists(atPath: url.path) {
            try? files.setAttributes([.modificationDate: Date()], ofItemAtPath: url.path)
            return (url, "compiled for this device before")
        }
        let start = nanoseconds()
        let fresh = try await MLModel.compileModel(at: model.copy())
        defer { try? files.removeItem(at: fresh) }
        try makeFolder(cache)
        removeOldest(keeping: maxKept - 1)
        do {
            try files.moveItem(at: fresh, to: url)
        } catch where files.fileExists(atPath: url.path) {
            // another task compiled it meanwhile
        }
        return (url, "compiled for this device in \(fixed(Double(nanoseconds() - start) / 1e6, 0)) ms, once")
    }

    private func removeOldest(keeping count: Int) {
        let files = FileManager.default
        let keys: [URLResourceKey] = [.contentModificationDateKey]
        let found = (try? files.contentsOfDirectory(at: cache, includingPropertiesForKeys: keys)) ?? []
        func used(_ url: URL) -> Date {
            (try? url.resourceValues(forKeys: Set(keys)))?.contentModificationDate ?? .distantPast
        }
        for url in found.sorted(by: { used($0) > used($1) }).dropFirst(count) { try? files.removeItem(at: url) }
    }
}

/// "iOS18" for this platform: macOS 13, 14 and 15 came with iOS 16, 17 and 18; from 26 on they share their number.
private func systemVersion(of minimum: String) -> String {
    let needed = minimum.replacingOccurrences(of: "iOS", with: "")
    #if os(macOS)
    if let major = needed.split(separator: ".").first.flatMap({ Int($0) }) {
        return "\(major >= 26 ? major : major - 3)"
    }
    #endif
    return needed
}

extension MLComputeUnits {
    fileprivate var text: String {
        switch self {
        case .cpuOnly: return "CPU"
        case .cpuAndGPU: return "CPU and GPU"
        case .cpuAndNeuralEngine: return "CPU and Neural Engine"
        case .all: return "all"
        @unknown default: return "unknown (\(rawValue))"
        }
    }
}

private final class CoreMLModel: LoadedModel, @unchecked Sendable { // the lock lets one prediction in at a time
    let label: String
    let delegation: [String]
    private let model: MLModel
    private let lock = NSLock()

    init(_ model: MLModel, _ delegation: [String]) {
        self.model = model
        self.delegation = delegation
        label = "Core ML of \(ProcessInfo.processInfo.operatingSystemVersionString)"
    }

    func run(_ feeds: [String: Tensor]) throws -> [String: Tensor] {
        let known = model.modelDescription.inputDescriptionsByName
        do {
            var given: [String: Any] = [:]
            for (name, tensor) in feeds where known[name] != nil {
                given[name] = MLFeatureValue(multiArray: try multiArray(tensor))
            }
            let found = try predicted(MLDictionaryFeatureProvider(dictionary: given))
            var outputs: [String: Tensor] = [:]
            for name in found.featureNames {
                guard let array = found.featureValue(for: name)?.multiArrayValue else {
                    throw EngineError("output '\(name)' is no array")
                }
                outputs[name] = try tensor(array)
            }
            return outputs
        } catch let error as EngineError {
            throw EngineError("\(label): \(error.message)")
        } catch {
            throw EngineError("\(label): \(error.localizedDescription)")
        }
    }

    private func predicted(_ inputs: any MLFeatureProvider) throws -> any MLFeatureProvider {
        lock.lock()
        defer { lock.unlock() }
        return try model.prediction(from: inputs)
    }

    /// Core ML's arrays are int32 or float32.
    private func multiArray(_ tensor: Tensor) throws -> MLMultiArray {
        let isFloat = tensor.dtype.isFloat
        let values = try tensor.converted(to: isFloat ? .float32 : .int32)
        let array = try MLMultiArray(
            shape: tensor.shape.map { NSNumber(value: $0) }, dataType: isFloat ? .float32 : .int32
        )
        array.withUnsafeMutableBytes { bytes, _ in bytes.copyBytes(from: values.bytes) } // row-major, as it is made
        return array
    }

    private func tensor(_ array: MLMultiArray) throws -> Tensor {
        let shape = array.shape.map(\.intValue)
        var values: [Double] = []
        values.reserveCapacity(array.count)
        for index in 0..<array.count { values.append(array[index].doubleValue) } // in order, whatever its strides
        switch array.dataType {
        case .int32: return try Tensor(.int32, values, shape)
        case .double: return try Tensor(.float64, values, shape)
        default: return try Tensor(.float32, values, shape)
        }
    }
}
#endif
