import Foundation

/// Of a named dimension, where the bundle names no length: a sentence or two, a second of sound, a usual picture.
private let usualSizes = [sequence: 64, "samples": 16_000, "frames": 100, "height": 224, "width": 224]

private let rolesOf: [String: Set<String>] = [
    "text": ["tokens", "mask", "token_types"], "image": ["pixels"], "audio": ["samples", "features", "mask"],
]

/// Those of `inputs` that preprocessing of `kind` makes; all of them where the bundle has no other kind.
func inputsFedBy(_ kind: String, _ kinds: [String], _ inputs: [TensorSpec]) -> [TensorSpec] {
    let others = kinds.filter { $0 != kind }.reduce(into: Set()) { $0.formUnion(rolesOf[$1] ?? []) }
        .subtracting(rolesOf[kind] ?? [])
    return inputs.filter { spec in !(spec.role.map(others.contains) ?? false) }
}

/// What one prediction feeds: of a model of two towers perhaps one tower's inputs. `taskKinds`: those that the task
/// reads.
func predictionInputs(_ manifest: Manifest, taskKinds: [String]) -> [TensorSpec] {
    let kinds = manifest.preprocess.map(\.kind)
    if taskKinds.isEmpty || !Set(kinds).isStrictSuperset(of: taskKinds) { return manifest.inputs }
    let fed = Set(taskKinds.flatMap { inputsFedBy($0, kinds, manifest.inputs) })
    let chosen = manifest.inputs.filter(fed.contains)
    return chosen.isEmpty ? manifest.inputs : chosen
}

/// A size of each named dimension of `inputs`, but the batch, that all of `variants` take.
func typicalSizes(_ manifest: Manifest, _ inputs: [TensorSpec], _ variants: [VariantEntry]) -> [String: Int] {
    let text = manifest.preprocess.lazy.compactMap { $0 as? TextPreprocess }.first
    var sizes: [String: Int] = [:]
    for case .named(let name) in inputs.flatMap(\.shape) where name != batch {
        let known = variants.compactMap { $0.lengths[name] }
        let lengths = Set(known.flatMap { $0 }).sorted()
        if let largest = known.map({ $0.last! }).min() {
            sizes[name] = min(lengths[lengths.count / 2], largest)
        } else {
            let usual = usualSizes[name] ?? 1
            sizes[name] = name == sequence ? min(usual, text?.maxLength ?? usual) : usual
        }
    }
    return sizes
}

/// One row of valid input. Integers are the smallest that isn't padding, 0 for token types; floats are normally
/// distributed with a fixed seed: latency depends on the shape, hardly on the content. Raises InputError for a row of
/// more than 2 GiB.
func syntheticFeeds(_ inputs: [TensorSpec], _ sizes: [String: Int]) throws -> [String: Tensor] {
    var random = Gaussian()
    var feeds: [String: Tensor] = [:]
    for spec in inputs {
        let shape = spec.shape.map { dim in
            switch dim {
            case .fixed(let size): return size
            case .named(let name): return sizes[name] ?? 1
            }
        }
        var tensor = try Tensor(zeros: spec.dtype, shape)
        let whole: Double = spec.role == "token_types" || spec.padValue != 0 ? 0 : 1
        for index in 0..<tensor.count { tensor[index] = spec.dtype.isFloat ? random.next() : whole }
        feeds[spec.name] = tensor
    }
    return feeds
}

/// Normally distributed numbers, the same ones each time: SplitMix64 and the method of Box and Muller.
private struct Gaussian {
    private var state: UInt64 = 0

    private mutating func uniform() -> Double {
        state &+= 0x9e37_79b9_7f4a_7c15
        var bits = state
        bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
        bits ^= bits >> 31
        return (Double(bits >> 11) + 0.5) * 0x1p-53
    }

    mutating func next() -> Double {
        let radius: Double = (-2 * log(uniform())).squareRoot()
        return radius * cos(2 * Double.pi * uniform())
    }
}
