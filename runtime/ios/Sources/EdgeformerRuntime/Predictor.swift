private let maxLabelSets = 16

/// What a prediction is made of.
public enum Item: Sendable {
    /// A text, or with `second` a pair.
    case text(String, second: String? = nil)
    case image(Picture)
    case imageText(Picture, String)
    case audio(Sound)

    var name: String {
        switch self {
        case .text: return "text"
        case .image: return "image"
        case .imageText: return "image with text"
        case .audio: return "audio"
        }
    }
}

/// What makes inputs of texts; nil where a bundle doesn't say how. Throws RuntimeBundleError for its tokenizer.
func textEncoder(of bundle: ModelBundle) throws -> TextEncoder? {
    let manifest = bundle.manifest
    guard let preprocess = manifest.preprocess.lazy.compactMap({ $0 as? TextPreprocess }).first else { return nil }
    let inputs = inputsFedBy("text", manifest.preprocess.map(\.kind), manifest.inputs)
    return try TextEncoder(try bundle.read(preprocess.tokenizer), preprocess, inputs)
}

/// What `Session.predict` and `Session.embed` do, by any `run` of tensors. May be used from several threads.
final class Predictor: Sendable {
    typealias Run = @Sendable ([String: Tensor]) throws -> [String: Tensor]

    /// What is made when it is first needed.
    private struct Made {
        var mustCheckTexts: Bool
        var labelled: [[ExactText]: ZeroShotImageClassification] = [:]
    }

    private let bundle: ModelBundle
    private let texts: TextEncoder?
    private let run: Run
    private let task: any ModelTask
    private let made: Locked<Made>

    /// `texts`: what `textEncoder` gives. `checks`: golden texts must become their tokens. Throws InputError for a
    /// bundle that takes arrays alone, or whose task or rows this release doesn't know.
    init(_ bundle: ModelBundle, _ texts: TextEncoder?, checks: Bool, run: @escaping Run) throws {
        let manifest = bundle.manifest
        if let unknown = (manifest.skipped("task") + manifest.skipped("preprocess")).first {
            throw InputError("""
                bundle '\(manifest.name)': \(unknown.part) '\(unknown.name)': \(unknown.reason): update the runtime, \
                or use Session.run with arrays
                """)
        }
        guard let task = try taskOf(manifest.task, manifest.outputs) else {
            throw takesArrays(manifest, "task \(manifest.task.kind)")
        }
        (self.bundle, self.texts, self.run, self.task) = (bundle, texts, run, task)
        made = Locked(Made(mustCheckTexts: checks))
    }

    /// One row at a time: engines that quantize activations share a scale among the rows of a call.
    func predict(_ items: [Item], prompt: String?, labels: [String]?) throws -> [any Prediction] {
        let task = try withLabels(labels)
        return try items.map { item in
            let encoded = try encoded(item, task.kinds, prompt: prompt)
            return try task.predict(try run(encoded.feeds), encoded)
        }
    }

    /// The vector of each of `items`, which are of `kind`.
    func embed(_ items: [Item], kind: String, prompt: String?) throws -> [Embedding] {
        guard let output = task.embeds.firstIndex(of: kind) else {
            let known = task.embeds.isEmpty ? "nothing" : task.embeds.joined(separator: ", ")
            throw InputError("embed '\(kind)': task \(task.spec.kind) gives vectors of \(known)")
        }
        return try items.map { item in
            let encoded = try encoded(item, [kind], prompt: prompt)
            return Embedding(encoded, try task.vector(try task.output(try run(encoded.feeds), output)))
        }
    }

    private func encoded(_ item: Item, _ kinds: [String], prompt: String?) throws -> Encoded {
        switch (kinds, item) {
        case (["text"], .text(let text, let second)): return try checkedTexts().encode(text, second, prompt: prompt)
        case (["image"], .image(let picture)): return try image(picture, prompt: prompt)
        case (["audio"], .audio(let sound)): return try audio(sound, prompt: prompt)
        case (["image", "text"], .imageText(let picture, let text)):
            let words = try checkedTexts().encode(text, nil, prompt: prompt)
            let feeds = try image(picture, prompt: nil).feeds.merging(words.feeds) { _, new in new }
            let (isTruncated, cut) = (words.isTruncated, words.tokensCut)
            return Encoded(feeds: feeds, tokens: words.tokens, isTruncated: isTruncated, tokensCut: cut)
        default:
            throw InputError("predict: this model takes \(kinds.joined(separator: " with ")), got \(item.name)")
        }
    }

    private func image(_ picture: Picture, prompt: String?) throws -> Encoded {
        try refusePrompt(prompt)
        guard let preprocess = first(ImagePreprocess.self) else {
            throw takesArrays(bundle.manifest, "it was compiled without a description of its pictures")
        }
        return Encoded(feeds: try ImageEncoder(preprocess).encode(picture))
    }

    private func audio(_ sound: Sound, prompt: String?) throws -> Encoded {
        try refusePrompt(prompt)
        guard let preprocess = first(AudioPreprocess.self) else {
            throw takesArrays(bundle.manifest, "it was compiled without a description of its sounds")
        }
        return try AudioEncoder(preprocess).encode(sound)
    }

    private func refusePrompt(_ prompt: String?) throws {
        if let prompt, !prompt.isEmpty {
            throw InputError("prompt '\(prompt)': this model takes no texts, which have prompts")
        }
    }

    private func first<Kind: Preprocess>(_: Kind.Type) -> Kind? {
        bundle.manifest.preprocess.lazy.compactMap { $0 as? Kind }.first
    }

    private func checkedTexts() throws -> TextEncoder {
        guard let texts else { throw takesArrays(bundle.manifest, "it was compiled without a tokenizer") }
        try made.with { made in
            if made.mustCheckTexts { try checkPreprocessing(bundle, texts) }
            made.mustCheckTexts = false
        }
        return texts
    }

    /// The task between `labels`; the bundle's own may come with their vectors, others are run once.
    private func withLabels(_ labels: [String]?) throws -> any ModelTask {
        guard let task = task as? ZeroShotImageClassification else {
            if labels == nil { return task }
            throw InputError("labels: task \(task.spec.kind) has those of its model: leave them out")
        }
        let own = bundle.manifest.task
        if labels == nil && own.labels.isEmpty {
            throw InputError("bundle '\(bundle.manifest.name)' has no labels of its own: name them")
        }
        let wanted = labels ?? own.labels
        try checkLabels(wanted)
        let key = wanted.map(ExactText.init)
        if let known = made.with({ $0.labelled[key] }) { return known }
        let chosen = try task.withLabels(wanted, vectors: try vectors(of: wanted, task))
        made.with { made in
            if made.labelled.count >= maxLabelSets { made.labelled.removeAll() }
            made.labelled[key] = chosen
        }
        return chosen
    }

    private func vectors(of labels: [String], _ task: ZeroShotImageClassification) throws -> [[Float]] {
        let own = bundle.manifest.task
        if let path = own.labelVectors, labels.map(ExactText.init) == own.labels.map(ExactText.init) {
            return try storedVectors(bundle.read(path), labels: labels.count)
        }
        let found = try embed(labels.map { .text(task.text(of: $0)) }, kind: "text", prompt: nil)
        try checkToldApart(labels, found)
        return found.map(\.embedding)
    }
}

private func takesArrays(_ manifest: Manifest, _ why: String) -> InputError {
    InputError("bundle '\(manifest.name)' takes arrays alone (\(why)): use Session.run")
}
