@_exported import Foundation

public enum MLComputeUnits: Int, @unchecked Sendable {
    case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine
}

public enum MLMultiArrayDataType: Int {
    case double = 65600, float32 = 65568, float16 = 65552, int32 = 131104
}

open class MLModelConfiguration {
    public init() {}

    open var computeUnits: MLComputeUnits { get { fatalError() } set {} }
}

open class MLMultiArray {
    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {}

    open var shape: [NSNumber] { fatalError() }
    open var count: Int { fatalError() }
    open var dataType: MLMultiArrayDataType { fatalError() }
    open subscript(index: Int) -> NSNumber { get { fatalError() } set {} }

    public func withUnsafeMutableBytes<R>(_: (UnsafeMutableRawBufferPointer, [Int]) throws -> R) rethrows -> R {
        fatalError()
    }
}

open class MLFeatureValue {
    public init(multiArray: MLMultiArray) {}

    open var multiArrayValue: MLMultiArray? { fatalError() }
}

public protocol MLFeatureProvider {
    var featureNames: Set<String> { get }

    func featureValue(for name: String) -> MLFeatureValue?
}

open class MLDictionaryFeatureProvider: MLFeatureProvider {
    public init(dictionary: [String: Any]) throws {}

    public var featureNames: Set<String> { fatalError() }
    public func featureValue(for name: String) -> MLFeatureValue? { fatalError() }
}

open class MLFeatureDescription {}

open class MLModelDescription {
    open var inputDescriptionsByName: [String: MLFeatureDescription] { fatalError() }
}

open class MLModel {
    open class func compileModel(at url: URL) async throws -> URL { fatalError() }
    open class func load(contentsOf url: URL, configuration: MLModelConfiguration) async throws -> MLModel { fatalError() }

    open var modelDescription: MLModelDescription { fatalError() }
    open func prediction(from: MLFeatureProvider) throws -> MLFeatureProvider { fatalError() }
}
