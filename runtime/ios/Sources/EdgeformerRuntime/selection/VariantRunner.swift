/// A loaded variant: runs any rows and lengths that its files can take.
protocol Runner: Sendable {
    var variant: VariantEntry { get }

    /// What runs it: engine, version and what it runs on.
    var label: String { get }
    var delegation: [String] { get }

    /// {input name: tensor} to {output name: tensor}, as the manifest describes both; raises InputError, EngineError.
    func run(_ feeds: [String: Tensor]) throws -> [String: Tensor]
}

/// One graph: pads named dimensions to the sizes that the file has, splits rows into parts of `fixed_batch`, undoes
/// both.
struct VariantRunner: Runner {
    let model: any LoadedModel
    let variant: VariantEntry
    let inputs: [TensorSpec]
    let outputs: [TensorSpec]

    var label: String { model.label }
    var delegation: [String] { model.delegation }

    func run(_ feeds: [String: Tensor]) throws -> [String: Tensor] {
        try checkNames(feeds)
        let sizes = try checkedSizes(feeds)
        var filled: [String: Tensor] = [:]
        for spec in inputs {
            let shape = try spec.shape.map { dim in
                switch dim {
                case .fixed(let size): return size
                case .named(let name): return try fitting(name, sizes[name]!)
                }
            }
            filled[spec.name] = try feeds[spec.name]!.reshaped(to: shape, fill: spec.padValue)
        }
        let found: [String: Tensor]
        if let rows = sizes[batch], let size = variant.fixedBatch, rows != size {
            found = try inParts(filled, rows, size)
        } else {
            found = try model.run(filled)
        }
        var finished: [String: Tensor] = [:]
        for spec in outputs { finished[spec.name] = try self.finished(spec, found, sizes) }
        return finished
    }

    private func checkNames(_ feeds: [String: Tensor]) throws {
        let names = inputs.map(\.name)
        if feeds.count == names.count && names.allSatisfy({ feeds[$0] != nil }) { return }
        let missing = names.filter { feeds[$0] == nil }.joined(separator: ", ")
        let unknown = feeds.keys.filter { !names.contains($0) }.sorted().joined(separator: ", ")
        let expected = names.joined(separator: ", ")
        throw InputError(
            "variant '\(variant.name)' takes inputs \(expected); missing: \(missing); unknown: \(unknown)"
        )
    }

    /// The size of each named dimension, the same in every input.
    private func checkedSizes(_ feeds: [String: Tensor]) throws -> [String: Int] {
        var sizes: [String: Int] = [:]
        for spec in inputs {
            let tensor = feeds[spec.name]!
            var fits = tensor.dtype == spec.dtype && tensor.shape.count == spec.shape.count
            for (dim, size) in zip(spec.shape, tensor.shape) where fits {
                switch dim {
                case .fixed(let expected): fits = size == expected
                case .named(let name):
                    fits = size > 0 && sizes[name, default: size] == size
                    sizes[name] = size
                }
            }
            if !fits {
                throw InputError(
                    "input '\(spec.name)': expected \(spec.dtype.rawValue) \(spec.shape), got \(tensor); other inputs "
                        + "have the sizes \(sizes)"
                )
            }
        }
        return sizes
    }

    /// The smallest size that the file has of a dimension and that is large enough.
    private func fitting(_ name: String, _ size: Int) throws -> Int {
        guard let lengths = variant.lengths[name] else { return size }
        if let length = lengths.first(where: { $0 >= size }) { return length }
        throw InputError(
            "\(name) length \(size) is longer than variant '\(variant.name)' takes: it was made for lengths "
                + "\(lengths). Cut the input, or compile with longer ones"
        )
    }

    private func inParts(_ feeds: [String: Tensor], _ rows: Int, _ size: Int) throws -> [String: Tensor] {
        let parts = try stride(from: 0, to: rows, by: size).map { start in
            // The last part is filled up with copies of its last row: real values, thrown away afterwards.
            let indices = (start..<start + size).map { min($0, rows - 1) }
            var part = feeds
            for spec in inputs {
                guard let axis = spec.axis(of: batch) else { continue }
                part[spec.name] = try feeds[spec.name]!.taking(indices, axis: axis)
            }
            return try model.run(part)
        }
        var joined: [String: Tensor] = [:]
        for spec in outputs {
            let found = try parts.map { try present(spec, $0) }
            guard let axis = spec.axis(of: batch) else {
                if parts.count > 1 {
                    let problem = "output '\(spec.name)' has no '\(batch)': at most \(size) rows can be run"
                    throw EngineError("variant '\(variant.name)': \(problem)")
                }
                joined[spec.name] = found[0]
                continue
            }
            if let strange = found.first(where: { $0.shape.count <= axis }) { throw unlike(spec, strange) }
            joined[spec.name] = try Tensor.concatenated(found, axis: axis)
        }
        return joined
    }

    private func present(_ spec: TensorSpec, _ found: [String: Tensor]) throws -> Tensor {
        if let tensor = found[spec.name] { return tensor }
        let names = found.keys.sorted().joined(separator: ", ")
        throw EngineError(
            "variant '\(variant.name)' on \(label): output '\(spec.name)' is missing: the file gives \(names)"
        )
    }

    /// One output without padding, in the manifest's dtype, checked against the manifest.
    private func finished(_ spec: TensorSpec, _ found: [String: Tensor], _ sizes: [String: Int]) throws -> Tensor {
        let tensor = try present(spec, found)
        if tensor.shape.count != spec.shape.count { throw unlike(spec, tensor) }
        var shape = tensor.shape
        for (axis, dim) in spec.shape.enumerated() {
            let expected: Int?
            let isPadded: Bool
            switch dim {
            case .fixed(let size): (expected, isPadded) = (size, false)
            case .named(let name): (expected, isPadded) = (sizes[name], variant.lengths[name] != nil || name == batch)
            }
            guard let expected else { continue }
            if shape[axis] != expected && !(isPadded && shape[axis] > expected) { throw unlike(spec, tensor) }
            shape[axis] = expected
        }
        return try tensor.reshaped(to: shape).converted(to: spec.dtype)
    }

    private func unlike(_ spec: TensorSpec, _ tensor: Tensor) -> EngineError {
        let shapes = "the manifest says \(spec.shape), got \(tensor.shape)"
        return EngineError("variant '\(variant.name)' on \(label): output '\(spec.name)': \(shapes)")
    }
}
