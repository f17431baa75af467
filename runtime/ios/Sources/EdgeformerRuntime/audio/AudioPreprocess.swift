/// How a sound becomes an input tensor; FORMAT.md, "Preprocessing of sounds", says what each number means.
public struct AudioPreprocess: Preprocess, Equatable {
    public let rateHz: Int
    public let input: String
    public let mask: String?
    public let normalize: Bool
    public let paddingValue: Double
    public let minSamples: Int
    public let maxSamples: Int?
    public let padToMax: Bool
    public let logMel: LogMel?

    public var kind: String { "audio" }
    public var files: [String] { [] }

    /// Samples that a sound needs at least.
    var shortest: Int {
        guard let logMel, !padToMax else { return minSamples }
        return max(minSamples, logMel.shortest)
    }

    /// Samples of a sound that are looked at; nil: all.
    var longest: Int? {
        [maxSamples, logMel?.longest].compactMap { $0 }.min()
    }
}

func readAudioPreprocess(_ value: Json, _ place: String) throws -> AudioPreprocess {
    let fields = try Fields(value, place)
    _ = try fields.take("kind", oneOf(["audio"]))
    let count = anInteger(1, Int64(Sound.maxSamples))
    let found = AudioPreprocess(
        rateHz: try fields.take("rate_hz", anInteger(1000, 192_000)),
        input: try fields.take("input", aString, missing: "input_values"),
        mask: try fields.take("mask", orNull(aString), missing: nil),
        normalize: try fields.take("normalize", aBoolean, missing: false),
        paddingValue: try fields.take("padding_value", aNumber, missing: 0),
        minSamples: try fields.take("min_samples", count, missing: 1),
        maxSamples: try fields.take("max_samples", orNull(count), missing: nil),
        padToMax: try fields.take("pad_to_max", aBoolean, missing: false),
        logMel: try fields.take("log_mel", orNull(readLogMel), missing: nil)
    )
    try fields.finish()
    if found.input.isEmpty || found.mask == "" || found.mask == found.input {
        throw refusal("\(place): expected two names, input's and mask's")
    }
    if let most = found.maxSamples, found.minSamples > most {
        throw refusal("\(place).min_samples: is above max_samples")
    }
    if found.padToMax && found.maxSamples == nil { throw refusal("\(place).pad_to_max: needs max_samples") }
    if let settings = found.logMel { try check(settings, of: found, place) }
    return found
}

private func check(_ settings: LogMel, of found: AudioPreprocess, _ place: String) throws {
    if found.normalize || found.mask != nil {
        throw refusal("\(place): expected normalize or mask, which are a waveform's, or log_mel")
    }
    if settings.maxHz > Double(found.rateHz) / 2 {
        throw refusal("\(place).log_mel.max_hz: expected at most half of rate_hz")
    }
    if let most = found.maxSamples, most < settings.shortest {
        throw refusal("\(place).max_samples: is less than one frame")
    }
    if settings.frames != nil && found.padToMax {
        throw refusal("\(place): expected log_mel.frames or pad_to_max, got both")
    }
}
