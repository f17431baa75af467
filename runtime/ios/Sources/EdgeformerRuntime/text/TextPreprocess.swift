private let maxTokens = 1 << 20

/// How text becomes input tensors; FORMAT.md says what each means. `maxLength`: tokens, special ones included.
public struct TextPreprocess: Preprocess {
    public let tokenizer: String
    public let maxLength: Int
    public let padTokenId: Int
    public let takesText: Bool
    public let takesPair: Bool
    public let truncatesLeft: Bool
    public let cutsSecond: Bool
    public let padToMax: Bool
    public let prompts: OrderedMap<String>
    public let defaultPrompt: String?

    public var kind: String { "text" }
    public var files: [String] { [tokenizer] }
}

func readTextPreprocess(_ value: Json, _ place: String) throws -> TextPreprocess {
    let fields = try Fields(value, place)
    _ = try fields.take("kind", oneOf(["text"]))
    let takes = try fields.take("takes", aListOf(oneOf(["text", "pair"])), missing: ["text"])
    let preprocess = TextPreprocess(
        tokenizer: try fields.take("tokenizer", aPath),
        maxLength: try fields.take("max_length", anInteger(1, Int64(maxTokens))),
        padTokenId: try fields.take("pad_token_id", anInteger(0)),
        takesText: takes.contains("text"),
        takesPair: takes.contains("pair"),
        truncatesLeft: try fields.take("truncation", oneOf(["right", "left"]), missing: "right") == "left",
        cutsSecond: try fields.take("cut", oneOf(["longest", "second"]), missing: "longest") == "second",
        padToMax: try fields.take("pad_to_max", aBoolean, missing: false),
        prompts: try fields.take("prompts", aMapOf(aString), missing: OrderedMap()),
        defaultPrompt: try fields.take("default_prompt", orNull(aName), missing: nil)
    )
    try fields.finish()
    if takes.isEmpty { throw refusal("\(place).takes: expected text, pair or both, got none") }
    if let name = preprocess.defaultPrompt, preprocess.prompts[name] == nil {
        throw refusal("\(place).default_prompt '\(name)' is none of its prompts")
    }
    return preprocess
}
