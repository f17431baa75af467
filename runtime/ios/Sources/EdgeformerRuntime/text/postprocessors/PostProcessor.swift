/// What every post-processor is.
protocol PostProcessor {
    /// It looks at the tokens' texts.
    var readsTexts: Bool { get }

    /// How many tokens it adds to a text, or to a pair.
    func added(isPair: Bool) -> Int

    /// `parts`: the tokens of each text in turn; once one post-processor was there, with its own between them.
    func process(_ parts: [Tokens]) -> [Tokens]
}

/// By its type in a tokenizer.json; throws RuntimeBundleError for one that this runtime doesn't know.
func readPostProcessor(_ part: Part) throws -> any PostProcessor {
    let type = try part.string("type")
    if part.has("cls") && part.has("sep") { // two that `tokenizers` tells by their keys, whatever the type
        let isRoberta = part.has("trim_offsets") && part.has("add_prefix_space")
        let meant = isRoberta ? "RobertaProcessing" : "BertProcessing"
        if type != meant { throw part.unsupported("post-processor '\(type.prefix(80))' has the keys of \(meant)") }
    }
    switch type {
    case "BertProcessing": return try BertProcessing(part)
    case "ByteLevel": return try ByteLevelProcessing(part)
    case "RobertaProcessing": return try RobertaProcessing(part)
    case "Sequence": return PostProcessorSequence(all: try part.parts("processors").map(readPostProcessor))
    case "TemplateProcessing": return try TemplateProcessing(part)
    default: throw part.unsupported("post-processor '\(type.prefix(80))' isn't known")
    }
}

private struct PostProcessorSequence: PostProcessor {
    let all: [any PostProcessor]

    var readsTexts: Bool { all.contains { $0.readsTexts } }

    func added(isPair: Bool) -> Int {
        all.reduce(0) { $0 + $1.added(isPair: isPair) }
    }

    func process(_ parts: [Tokens]) -> [Tokens] {
        all.reduce(parts) { $1.process($0) }
    }
}
