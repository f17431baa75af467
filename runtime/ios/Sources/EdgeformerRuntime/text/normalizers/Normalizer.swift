/// What every normalizer is: it changes a text in place.
typealias Normalizer = (_ text: inout NormalizedText) throws -> Void

/// By its type in a tokenizer.json; throws RuntimeBundleError for one that this runtime doesn't know.
func readNormalizer(_ part: Part) throws -> Normalizer {
    let type = try part.string("type")
    switch type {
    case "BertNormalizer": return try BertNormalizer(part).normalize
    case "ByteLevel": return writeBytes
    case "Lowercase": return lowercase
    case "NFC": return UnicodeForm(isCompatible: false, isComposed: true).normalize
    case "NFD": return UnicodeForm(isCompatible: false, isComposed: false).normalize
    case "NFKC": return UnicodeForm(isCompatible: true, isComposed: true).normalize
    case "NFKD": return UnicodeForm(isCompatible: true, isComposed: false).normalize
    case "Nmt": return nmt
    case "Precompiled": return try Precompiled(part).normalize
    case "Prepend": return try Prepend(part).normalize
    case "Replace": return try Replace(part).normalize
    case "Sequence":
        let all = try part.parts("normalizers").map(readNormalizer)
        return { text in for normalize in all { try normalize(&text) } }
    case "Strip": return try Strip(part).normalize
    case "StripAccents": return stripAccents
    default: throw part.unsupported("normalizer '\(type.prefix(80))' isn't known")
    }
}
