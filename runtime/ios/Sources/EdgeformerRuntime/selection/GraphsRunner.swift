/// Runs those of a variant's graphs whose inputs are given: a picture alone costs its own tower alone.
private struct GraphsRunner: Runner {
    let variant: VariantEntry
    let parts: [(name: String, runner: VariantRunner)]

    var label: String {
        var labels: [String] = []
        for part in parts where !labels.contains(part.runner.label) { labels.append(part.runner.label) }
        return labels.joined(separator: " + ")
    }

    var delegation: [String] { parts.flatMap { part in part.runner.delegation.map { "\(part.name): \($0)" } } }

    func run(_ feeds: [String: Tensor]) throws -> [String: Tensor] {
        var left = feeds
        var outputs: [String: Tensor] = [:]
        for part in parts {
            var given: [String: Tensor] = [:]
            for spec in part.runner.inputs { given[spec.name] = left.removeValue(forKey: spec.name) }
            if !given.isEmpty { outputs.merge(try part.runner.run(given)) { _, new in new } }
        }
        if left.isEmpty && !outputs.isEmpty { return outputs }
        let taken = parts.map { "\($0.name): \($0.runner.inputs.map(\.name).joined(separator: ", "))" }
        let strange = left.isEmpty ? "nothing" : left.keys.sorted().joined(separator: ", ")
        throw InputError(
            "variant '\(variant.name)': expected the inputs of its graphs, or of some of them "
                + "(\(taken.joined(separator: "; "))), got \(strange)"
        )
    }
}

/// Why no runner here is for the graphs of `variant`; nil where there is one.
func cannotRun(_ variant: VariantEntry) -> String? {
    let graphs = variant.graphs
    let names = graphs.keys.joined(separator: ", ")
    if graphs.values.contains(where: \.hasStates) {
        return "it runs in steps (graphs \(names)), which this runtime can't"
    }
    if graphs.keys == [mainGraph] || graphs.values.allSatisfy({ $0.inputs != nil && $0.outputs != nil }) { return nil }
    return "its graphs \(names) don't say what each of them takes and gives"
}

/// A runner of all graphs of `variant`; `load` gives the model at a path of the bundle. Raises EngineError.
func openRunner(
    _ variant: VariantEntry, _ manifest: Manifest, _ load: (String, VariantEntry) async throws -> any LoadedModel
) async throws -> any Runner {
    if let reason = cannotRun(variant) { throw EngineError("variant '\(variant.name)': \(reason)") }
    var parts: [(name: String, runner: VariantRunner)] = []
    for (name, graph) in variant.graphs {
        let entry = variant.with(only: graph)
        parts.append((name, VariantRunner(
            model: try await load(graph.path, entry), variant: entry,
            inputs: graph.inputs ?? manifest.inputs, outputs: graph.outputs ?? manifest.outputs
        )))
    }
    if parts.count == 1 && parts[0].name == mainGraph { return parts[0].runner }
    return GraphsRunner(variant: variant, parts: parts)
}
