import Foundation

private let roles = ["tokens", "mask", "token_types"]

/// Makes tensors of texts, as `preprocess` says; may be used from several threads, which take turns.
final class TextEncoder: @unchecked Sendable {
    private let tokenizer: Tokenizer
    private let lock = NSLock() // of `tokenizer`, which remembers words
    private let preprocess: TextPreprocess
    private let inputs: [TensorSpec]
    private let truncation: Truncation

    /// `content`: the tokenizer.json. Throws RuntimeBundleError for a part or a setting of it that this runtime doesn't
    /// know.
    init(_ content: [UInt8], _ preprocess: TextPreprocess, _ inputs: [TensorSpec]) throws {
        tokenizer = try Tokenizer(content)
        truncation = Truncation(
            maxLength: preprocess.maxLength,
            cut: preprocess.cutsSecond ? .second : .longest,
            fromLeft: preprocess.truncatesLeft
        )
        self.preprocess = preprocess
        self.inputs = inputs
    }

    /// One text or pair, ready to run. `prompt` names what is put before it: nil is the bundle's default, "" is
    /// nothing.
    ///
    /// Throws InputError for what the model doesn't take, an empty result, and what can't be cut to fit;
    /// RuntimeBundleError for inputs that no text makes.
    func encode(_ text: String, _ second: String?, prompt: String?) throws -> Encoded {
        try checkRoles()
        if second == nil && !preprocess.takesText {
            throw InputError("predict: this model takes pairs of texts, got one text")
        }
        if second != nil && !preprocess.takesPair {
            throw InputError("predict: this model takes no pairs of texts, got one")
        }
        let before = try promptText(prompt)
        let found = try lock.withLock { try tokenizer.encode(before + text, second, truncation: truncation) }
        if found.ids.isEmpty { throw InputError("text '\(text.prefix(60))' gives no tokens: expected some text") }
        let isPairCutAnywhere = second != nil && !preprocess.cutsSecond
        var feeds: [String: Tensor] = [:]
        for spec in inputs { feeds[spec.name] = try tensor(spec, found) }
        return Encoded(
            feeds: feeds,
            tokens: found.ids.count,
            isTruncated: found.tokensCut > 0,
            tokensCut: found.tokensCut > 0 && isPairCutAnywhere ? nil : found.tokensCut,
            text: places(found, before.unicodeScalars.count, text, second)
        )
    }

    /// Not when it is made: a session opens all the same, for arrays.
    private func checkRoles() throws {
        let unknown = inputs.filter { !roles.contains($0.role ?? "") }.map(\.name)
        if !unknown.isEmpty {
            throw RuntimeBundleError("""
                inputs \(unknown.joined(separator: ", ")) can't be made from text: expected roles \
                \(roles.joined(separator: ", ")). Use Session.run with arrays
                """)
        }
    }

    /// int64 [1, tokens].
    private func tensor(_ spec: TensorSpec, _ found: Encoding) throws -> Tensor {
        var values: [Int64]
        switch spec.role {
        case "tokens": values = found.ids.map(Int64.init)
        case "mask": values = found.ids.map { _ in 1 }
        default: values = found.types.map(Int64.init)
        }
        let padding = preprocess.padToMax ? max(preprocess.maxLength - values.count, 0) : 0
        values += repeatElement(spec.role == "tokens" ? Int64(preprocess.padTokenId) : 0, count: padding)
        return try Tensor(values, [1, values.count])
    }

    /// Places in the text without its prompt, which has `prompt` code points; tokens wholly in it are in no text.
    private func places(_ found: Encoding, _ prompt: Int, _ text: String, _ second: String?) -> TextPlaces {
        let before = found.texts.map { $0 == 0 ? prompt : 0 }
        let isInside = before.indices.map { found.starts[$0] >= before[$0] || found.ends[$0] > before[$0] }
        return TextPlaces(
            starts: before.indices.map { isInside[$0] ? max(found.starts[$0] - before[$0], 0) : 0 },
            ends: before.indices.map { isInside[$0] ? found.ends[$0] - before[$0] : 0 },
            words: before.indices.map { isInside[$0] ? found.words[$0] : nil },
            texts: before.indices.map { isInside[$0] ? found.texts[$0] : nil },
            first: text,
            second: second
        )
    }

    private func promptText(_ name: String?) throws -> String {
        guard let wanted = name ?? preprocess.defaultPrompt, !wanted.isEmpty else { return "" }
        if let text = preprocess.prompts[wanted] { return text }
        let known = preprocess.prompts.isEmpty ? "none" : preprocess.prompts.keys.joined(separator: ", ")
        throw InputError("prompt '\(wanted)': the bundle has no prompt of this name, it has \(known)")
    }
}

/// Raise EngineError where a golden text gives other inputs here than when the bundle was made.
func checkPreprocessing(_ bundle: ModelBundle, _ encoder: TextEncoder) throws {
    guard let golden = try readGolden(bundle) else { return }
    for (index, (text, row)) in zip(golden.texts, golden.rows).enumerated() {
        guard let text else { continue }
        let made = try encoder.encode(text.text, text.second, prompt: text.prompt).feeds
        let different = made.filter { name, tensor in row[name] != tensor }.keys.sorted()
        if !different.isEmpty {
            throw EngineError("""
                golden.json: row \(index): the text '\(text.text.prefix(40))' gives other \
                \(different.joined(separator: ", ")) here than when the bundle was made: this runtime reads its \
                tokenizer.json differently: make token ids yourself, for Session.run
                """)
        }
    }
}
