private let maxFft: Int64 = 1 << 14

/// The settings of FORMAT.md's "Log-mel". Numbers of samples, unless they say otherwise.
public struct LogMel: Sendable, Equatable {
    static let maxValues = 1 << 26 // of one spectrogram

    public enum Scale: String, Sendable, CaseIterable {
        case htk, kaldi, slaney
    }

    public let nFft: Int
    public let hop: Int
    public let mels: Int
    public let windowLength: Int
    public let reflect: Bool
    public let removeOffset: Bool
    public let preemphasis: Double
    public let isWindowSymmetric: Bool
    public let minHz: Double
    public let maxHz: Double
    public let melScale: Scale
    public let trianglesInMel: Bool
    public let areaNorm: Bool
    public let isLogNatural: Bool
    public let logFloor: Double
    public let dropLastFrame: Bool
    public let range: Double?
    public let frames: Int?
    public let mean: Double
    public let std: Double
    public let isFramesFirst: Bool

    /// Samples that a sound needs at least.
    var shortest: Int {
        let mirrored = reflect ? windowLength / 2 : 0
        return max(mirrored + 1, windowLength - 2 * mirrored + (dropLastFrame ? hop : 0))
    }

    /// Samples that are looked at, where the number of frames is limited and frames aren't centred.
    var longest: Int? {
        guard let frames, !reflect else { return nil }
        return (frames - 1 + (dropLastFrame ? 1 : 0)) * hop + windowLength
    }
}

func readLogMel(_ value: Json, _ place: String) throws -> LogMel {
    let fields = try Fields(value, place)
    let nFft = try fields.take("n_fft", anInteger(2, maxFft))
    let mels = try fields.take("mels", anInteger(1, 1 << 10))
    let scale = try fields.take("mel_scale", oneOf(LogMel.Scale.allCases.map(\.rawValue)), missing: "slaney")
    let layouts = oneOf(["frames_mels", "mels_frames"])
    let settings = LogMel(
        nFft: nFft,
        hop: try fields.take("hop", anInteger(1, maxFft)),
        mels: mels,
        windowLength: try fields.take("window_length", orNull(anInteger(2, Int64(nFft))), missing: nil) ?? nFft,
        reflect: try fields.take("reflect", aBoolean, missing: false),
        removeOffset: try fields.take("remove_offset", aBoolean, missing: false),
        preemphasis: try fields.take("preemphasis", aNumber, missing: 0),
        isWindowSymmetric: try fields.take("window", oneOf(["hann", "hann_symmetric"]), missing: "hann") != "hann",
        minHz: try fields.take("min_hz", aNumber, missing: 0),
        maxHz: try fields.take("max_hz", aNumber, missing: 8000),
        melScale: LogMel.Scale(rawValue: scale) ?? .slaney,
        trianglesInMel: try fields.take("triangles_in_mel", aBoolean, missing: false),
        areaNorm: try fields.take("area_norm", aBoolean, missing: false),
        isLogNatural: try fields.take("log", oneOf(["natural", "log10"]), missing: "natural") == "natural",
        logFloor: try fields.take("log_floor", aNumber, missing: 1e-10),
        dropLastFrame: try fields.take("drop_last_frame", aBoolean, missing: false),
        range: try fields.take("range", orNull(aNumber), missing: nil),
        frames: try fields.take("frames", orNull(anInteger(1, Int64(LogMel.maxValues / mels))), missing: nil),
        mean: try fields.take("mean", aNumber, missing: 0),
        std: try fields.take("std", aNumber, missing: 1),
        isFramesFirst: try fields.take("layout", layouts, missing: "frames_mels") == "frames_mels"
    )
    try fields.finish()
    try check(settings, place)
    return settings
}

private func check(_ settings: LogMel, _ place: String) throws {
    if settings.nFft % 2 != 0 { throw refusal("\(place).n_fft: expected an even number") }
    if !(0...1).contains(settings.preemphasis) { throw refusal("\(place).preemphasis: expected 0 to 1") }
    if !(settings.minHz >= 0 && settings.minHz < settings.maxHz) {
        throw refusal("\(place).min_hz: expected at least 0, below max_hz")
    }
    for (key, number) in [("log_floor", settings.logFloor), ("range", settings.range ?? 1), ("std", settings.std)] {
        if !(number > 0) { throw refusal("\(place).\(key): expected a positive number") }
    }
}
