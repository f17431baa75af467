#if canImport(COnnxRuntime)
import COnnxRuntime
import Foundation

private let engineName = "onnxruntime"
private let apiVersion: UInt32 = 18 // of ONNX Runtime 1.18: no later call is made here

private let types: [DType: ONNXTensorElementDataType] = [
    .bool: ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
    .int8: ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
    .uint8: ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
    .int16: ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
    .int32: ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
    .int64: ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
    .float16: ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
    .float32: ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
    .float64: ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
]

/// ONNX Runtime on the CPU by its C API.
public struct OnnxRuntimeEngine: Engine {
    public let name = engineName

    public init() {}

    public func availability(of variant: VariantEntry) -> Availability {
        func not(_ reason: String) -> Availability { Availability(engine: name, version: nil, reason: reason) }
        if variant.engine != name || variant.format != "onnx" {
            return not("it is made for \(variant.engine), which \(name) doesn't run here")
        }
        if !variant.enginePackages.isEmpty && !variant.enginePackages.contains(name) {
            return not("it gives right results only with \(variant.enginePackages.joined(separator: ", "))")
        }
        guard let library = try? OnnxLibrary.shared.get() else {
            return not("the ONNX Runtime in this app is older than 1.\(apiVersion): update it")
        }
        let problem = versionProblem(name, library.version, variant.minEngineVersion)
        return Availability(engine: name, version: library.version, reason: problem)
    }

    public func load(_ model: ModelFile, _ variant: VariantEntry, threads: Int) async throws -> any LoadedModel {
        let library = try OnnxLibrary.shared.get()
        do {
            return try OnnxModel(library, path: model.copy().path, threads: threads)
        } catch let error as EngineError {
            let what = "\(name) \(library.version) can't load \(try variant.path())"
            throw EngineError("variant '\(variant.name)': \(what): \(error.message)")
        }
    }
}

/// The C API's table of functions, and the environment that all models share. Both live as long as the process.
private struct OnnxLibrary: @unchecked Sendable {
    let api: OrtApi
    let version: String
    let environment: OpaquePointer
    let memory: OpaquePointer

    static let shared = Result { try OnnxLibrary() }

    private init() throws {
        guard let base = OrtGetApiBase(), let table = base.pointee.GetApi(apiVersion) else {
            throw EngineError("\(engineName) is older than 1.\(apiVersion): update it")
        }
        api = table.pointee
        version = String(cString: base.pointee.GetVersionString()!)
        var environment: OpaquePointer?, memory: OpaquePointer?
        try OnnxLibrary.check(api, api.CreateEnv(ORT_LOGGING_LEVEL_ERROR, "edgeformer", &environment))
        try OnnxLibrary.check(api, api.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory))
        self.environment = environment!
        self.memory = memory!
    }

    func check(_ status: OpaquePointer?) throws { try OnnxLibrary.check(api, status) }

    /// Raise EngineError with ONNX Runtime's own words where `status` is one of a failure.
    private static func check(_ api: OrtApi, _ status: OpaquePointer?) throws {
        guard let status else { return }
        defer { api.ReleaseStatus(status) }
        throw EngineError(String(cString: api.GetErrorMessage(status)!))
    }
}

private final class OnnxModel: LoadedModel, @unchecked Sendable { // an OrtSession may run in several threads at once
    let label: String
    let delegation: [String] = []
    private let library: OnnxLibrary
    private let session: OpaquePointer
    private let inputs: [ModelName] // an exporter may leave out an input that the graph never uses
    private let outputs: [ModelName]

    init(_ library: OnnxLibrary, path: String, threads: Int) throws {
        let api = library.api
        var options: OpaquePointer?
        try library.check(api.CreateSessionOptions(&options))
        defer { api.ReleaseSessionOptions(options) }
        try library.check(api.SetIntraOpNumThreads(options, Int32(clamping: threads)))
        try library.check(api.SetInterOpNumThreads(options, 1))
        try library.check(api.SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL))
        // Spinning threads keep a core busy after each run, which costs energy.
        try library.check(api.AddSessionConfigEntry(options, "session.force_spinning_stop", "1"))
        var session: OpaquePointer?
        try library.check(api.CreateSession(library.environment, path, options, &session))
        self.library = library
        self.session = session!
        label = "\(engineName) \(library.version) (CPUExecutionProvider)"
        inputs = try OnnxModel.names(library, session!, api.SessionGetInputCount, api.SessionGetInputName)
        outputs = try OnnxModel.names(library, session!, api.SessionGetOutputCount, api.SessionGetOutputName)
    }

    deinit { library.api.ReleaseSession(session) }

    private typealias Count = (OpaquePointer?, UnsafeMutablePointer<Int>?) -> OpaquePointer?
    private typealias Name = (
        OpaquePointer?, Int, UnsafeMutablePointer<OrtAllocator>?, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    ) -> OpaquePointer?

    private static func names(
        _ library: OnnxLibrary, _ session: OpaquePointer, _ count: Count, _ name: Name
    ) throws -> [ModelName] {
        var allocator: UnsafeMutablePointer<OrtAllocator>?
        try library.check(library.api.GetAllocatorWithDefaultOptions(&allocator))
        var total = 0
        try library.check(count(session, &total))
        return try (0..<total).map { index in
            var text: UnsafeMutablePointer<CChar>?
            try library.check(name(session, index, allocator, &text))
            defer { _ = library.api.AllocatorFree(allocator, text) }
            return ModelName(text!)
        }
    }

    func run(_ feeds: [String: Tensor]) throws -> [String: Tensor] {
        do {
            let given = inputs.filter { feeds[$0.text] != nil }
            return try withValues(given.map { feeds[$0.text]! }[...]) { values in
                try run(given.map { $0.pointer as Optional }, values)
            }
        } catch let error as EngineError {
            throw EngineError("\(label): \(error.message)")
        }
    }

    private func run(_ names: [UnsafePointer<CChar>?], _ values: [OpaquePointer?]) throws -> [String: Tensor] {
        var results = [OpaquePointer?](repeating: nil, count: outputs.count)
        defer { results.forEach { library.api.ReleaseValue($0) } }
        try library.check(library.api.Run(
            session, nil, names, values, values.count, outputs.map { $0.pointer as Optional }, outputs.count, &results
        ))
        var found: [String: Tensor] = [:]
        for (name, value) in zip(outputs, results) { found[name.text] = try tensor(name.text, value) }
        return found
    }

    /// Call `use` with ONNX Runtime's values over the bytes of `tensors`, which aren't copied.
    private func withValues<T>(_ tensors: ArraySlice<Tensor>, _ use: ([OpaquePointer?]) throws -> T) throws -> T {
        guard let tensor = tensors.first else { return try use([]) }
        return try tensor.bytes.withUnsafeBytes { bytes in
            var value: OpaquePointer?
            try library.check(library.api.CreateTensorWithDataAsOrtValue(
                library.memory, UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count,
                tensor.shape.map(Int64.init), tensor.shape.count, types[tensor.dtype]!, &value
            ))
            defer { library.api.ReleaseValue(value) }
            return try withValues(tensors.dropFirst()) { try use([value] + $0) }
        }
    }

    private func tensor(_ name: String, _ value: OpaquePointer?) throws -> Tensor {
        let api = library.api
        var info: OpaquePointer?
        try library.check(api.GetTensorTypeAndShape(value, &info))
        defer { api.ReleaseTensorTypeAndShapeInfo(info) }
        var type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED
        try library.check(api.GetTensorElementType(info, &type))
        guard let dtype = types.first(where: { $0.value == type })?.key else {
            throw EngineError("output '\(name)' is of type \(type.rawValue), which the runtime has no tensors for")
        }
        var rank = 0
        try library.check(api.GetDimensionsCount(info, &rank))
        var shape = [Int64](repeating: 0, count: rank)
        try library.check(api.GetDimensions(info, &shape, rank))
        var data: UnsafeMutableRawPointer?
        try library.check(api.GetTensorMutableData(value, &data))
        let sizes = shape.map(Int.init)
        let bytes = UnsafeRawBufferPointer(start: data, count: sizes.reduce(dtype.sizeBytes, *))
        return try Tensor(dtype, sizes, bytes: Array(bytes))
    }
}

/// The name of an input or output, as Swift and as C have it.
private final class ModelName {
    let text: String
    let pointer: UnsafePointer<CChar>

    init(_ name: UnsafePointer<CChar>) {
        text = String(cString: name)
        pointer = UnsafePointer(strdup(name)!)
    }

    deinit { free(UnsafeMutablePointer(mutating: pointer)) }
}
#endif
