private let maxSide: Int64 = 4096 // pixels, of what the model takes
private let maxResizedSide = 1 << 24 // pixels, of a picture whose shortest side was resized
private let maxNumber = 1e6

/// How pixels become others; FORMAT.md has the formulas.
public enum ImageFilter: String, Sendable, CaseIterable {
    case nearest, box, bilinear, hamming, bicubic, lanczos

    /// How far from its centre an output looks at inputs, in pixels of a picture that isn't shrunk.
    var radius: Double {
        switch self {
        case .nearest, .box: return 0.5
        case .bilinear, .hamming: return 1
        case .bicubic: return 2
        case .lanczos: return 3
        }
    }
}

/// `size`: [height, width], or [shortest side] unless `isExact`. `cubicA`: the parameter of filter `bicubic`.
public struct ImageResize: Sendable, Equatable {
    public let size: [Int]
    public let isExact: Bool
    public let filter: ImageFilter
    public let cubicA: Double
}

/// Where a picture goes, along one axis: `count` pixels from `start` on of `resized` ones, at `offset` of the tensor.
struct AxisPlacement {
    let resized: Int
    let start: Int
    let count: Int
    let offset: Int

    init(resized: Int, target: Int) {
        let spare = resized - target // negative: black is added
        self.resized = resized
        start = max(spare / 2, 0)
        count = min(resized, target)
        offset = max((1 - spare) / 2, 0)
    }
}

/// How a picture becomes an input tensor; FORMAT.md, "Preprocessing of kind image", says what each number means.
public struct ImagePreprocess: Preprocess, Equatable {
    public let input: String
    public let isGrey: Bool
    public let isOverWhite: Bool
    public let resize: ImageResize?
    public let crop: [Int]?
    public let rescale: Double
    public let mean: [Double]
    public let std: [Double]

    public var kind: String { "image" }
    public var files: [String] { [] }

    /// [channels, height, width] of one picture's tensor.
    public var shape: [Int] { [mean.count] + (crop ?? resize?.size ?? []) }

    /// Where a picture of `height` x `width` pixels goes; throws InputError for a too elongated one.
    func place(height: Int, width: Int) throws -> (rows: AxisPlacement, columns: AxisPlacement) {
        let (rows, columns) = try resizedSize(height, width)
        return (AxisPlacement(resized: rows, target: shape[1]), AxisPlacement(resized: columns, target: shape[2]))
    }

    private func resizedSize(_ height: Int, _ width: Int) throws -> (Int, Int) {
        guard let resize else { return (height, width) }
        if resize.isExact { return (resize.size[0], resize.size[1]) }
        let short = resize.size[0]
        let long = short * max(height, width) / min(height, width)
        if long > maxResizedSide {
            throw InputError("""
                picture of \(width) x \(height) pixels is too elongated: expected a longer side of at most \
                \(maxResizedSide) after resizing
                """)
        }
        return width <= height ? (long, short) : (short, long)
    }
}

func readImagePreprocess(_ value: Json, _ place: String) throws -> ImagePreprocess {
    let fields = try Fields(value, place)
    let positive = aNumberIn(1 / maxNumber, maxNumber)
    // In Python's order: of several errors it decides which is named.
    let mean = try fields.take("mean", aListOf(aNumberIn(-maxNumber, maxNumber)))
    let std = try fields.take("std", aListOf(positive))
    let resize = try fields.take("resize", orNull(readResize), missing: nil)
    let crop = try fields.take("crop", orNull(aListOf(anInteger(1, maxSide))), missing: nil)
    let color = try fields.take("color", oneOf(["RGB", "L"]), missing: "RGB")
    let alpha = try fields.take("alpha", oneOf(["white", "drop"]), missing: "white")
    let rescale = try fields.take("rescale", positive, missing: 1.0 / 255)
    let input = try fields.take("input", aString, missing: "pixel_values")
    _ = try fields.take("layout", oneOf(["NCHW"]), missing: "NCHW")
    _ = try fields.take("kind", oneOf(["image"]))
    try fields.finish()
    let preprocess = ImagePreprocess(
        input: input, isGrey: color == "L", isOverWhite: alpha == "white", resize: resize, crop: crop,
        rescale: rescale, mean: mean, std: std
    )
    if input.isEmpty { throw refusal("\(place).input: expected the name of an input") }
    let channels = preprocess.isGrey ? 1 : 3
    if preprocess.mean.count != channels || preprocess.std.count != channels {
        throw refusal("""
            \(place): mean and std: expected \(channels) numbers each, got \(preprocess.mean.count) and \
            \(preprocess.std.count)
            """)
    }
    if let crop = preprocess.crop, crop.count != 2 { throw refusal("\(place).crop: expected [height, width]") }
    if preprocess.crop == nil && preprocess.resize?.isExact != true {
        throw refusal("""
            \(place): expected a crop, or a resize of mode 'exact': without either, tensors would have different shapes
            """)
    }
    return preprocess
}

private func readResize(_ value: Json, _ place: String) throws -> ImageResize {
    let fields = try Fields(value, place)
    let isExact = try fields.take("mode", oneOf(["exact", "shortest"])) == "exact"
    let size = try fields.take("size", aListOf(anInteger(1, maxSide)))
    let filter = try fields.take("filter", oneOf(ImageFilter.allCases.map(\.rawValue)))
    let cubicA = try fields.take("cubic_a", aNumberIn(-1, 0), missing: -0.5)
    _ = try fields.take("rounding", oneOf(["uint8"]), missing: "uint8")
    if try !fields.take("antialias", aBoolean, missing: true) { throw refusal("\(place).antialias: expected true") }
    try fields.finish()
    if size.count != (isExact ? 2 : 1) {
        throw refusal("\(place).size: expected \(isExact ? "[height, width]" : "[side]")")
    }
    return ImageResize(size: size, isExact: isExact, filter: ImageFilter(rawValue: filter) ?? .nearest, cubicA: cubicA)
}
