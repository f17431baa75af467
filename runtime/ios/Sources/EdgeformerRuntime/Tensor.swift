/// Types of elements; raw values are the manifest's names.
public enum DType: String, CaseIterable, Sendable {
    case bool, int8, uint8, int16, int32, int64, float16, float32, float64

    /// Bytes of one element.
    public var sizeBytes: Int {
        switch self {
        case .bool, .int8, .uint8: return 1
        case .int16, .float16: return 2
        case .int32, .float32: return 4
        case .int64, .float64: return 8
        }
    }

    public var isFloat: Bool { self == .float16 || self == .float32 || self == .float64 }
}

/// An array: row-major little-endian elements.
public struct Tensor: Sendable, Equatable, CustomStringConvertible {
    public let dtype: DType
    public let shape: [Int]

    /// Exactly the elements of `shape`.
    public internal(set) var bytes: [UInt8]

    /// Raises InputError where `bytes` aren't the elements of `shape`.
    public init(_ dtype: DType, _ shape: [Int], bytes: [UInt8]) throws {
        let expected = try Tensor.sizeBytes(dtype, shape)
        if bytes.count != expected {
            throw InputError("tensor \(dtype.rawValue) \(shape): expected \(expected) bytes, got \(bytes.count)")
        }
        self.dtype = dtype
        self.shape = shape
        self.bytes = bytes
    }

    /// Of `shape`, filled with zeros. Raises InputError for one of more than 2 GiB.
    public init(zeros dtype: DType, _ shape: [Int]) throws {
        self.dtype = dtype
        self.shape = shape
        bytes = [UInt8](repeating: 0, count: try Tensor.sizeBytes(dtype, shape))
    }

    /// float32; raises InputError where `values` aren't as many as `shape` has.
    public init(_ values: [Float], _ shape: [Int]) throws {
        try self.init(.float32, shape, bytes: values.withUnsafeBytes { Array($0) })
    }

    /// int64; raises InputError where `values` aren't as many as `shape` has.
    public init(_ values: [Int64], _ shape: [Int]) throws {
        try self.init(.int64, shape, bytes: values.withUnsafeBytes { Array($0) })
    }

    /// Each of `values` is converted to `dtype`. Raises InputError where they aren't as many as `shape` has.
    public init(_ dtype: DType, _ values: [Double], _ shape: [Int]) throws {
        try self.init(zeros: dtype, shape)
        if values.count != count { throw InputError("tensor \(self): expected \(count) values, got \(values.count)") }
        for (index, value) in values.enumerated() { self[index] = value }
    }

    /// How many elements it has.
    public var count: Int { bytes.count / dtype.sizeBytes }

    /// Element `index`, in row-major order, as a double; an int64 beyond 2^53 is rounded.
    public internal(set) subscript(index: Int) -> Double {
        get { bytes.withUnsafeBytes { Tensor.element($0, dtype, index) } }
        set {
            switch dtype {
            case .bool: set(index, newValue != 0 ? UInt8(1) : 0)
            case .int8: set(index, Int8(truncatingIfNeeded: integerOf(newValue)))
            case .uint8: set(index, UInt8(truncatingIfNeeded: integerOf(newValue)))
            case .int16: set(index, Int16(truncatingIfNeeded: integerOf(newValue)))
            case .int32: set(index, Int32(truncatingIfNeeded: integerOf(newValue)))
            case .int64: set(index, integerOf(newValue))
            case .float16: set(index, halfOf(Float(newValue)))
            case .float32: set(index, Float(newValue))
            case .float64: set(index, newValue)
            }
        }
    }

    /// Every element as a double.
    public func toDoubles() -> [Double] {
        bytes.withUnsafeBytes { raw in (0..<count).map { Tensor.element(raw, dtype, $0) } }
    }

    /// Every element as a float; a float64 is rounded.
    public func toFloats() -> [Float] {
        bytes.withUnsafeBytes { raw in
            if dtype != .float32 { return (0..<count).map { Float(Tensor.element(raw, dtype, $0)) } }
            return [Float](unsafeUninitializedCapacity: count) { made, filled in
                UnsafeMutableRawBufferPointer(made).copyMemory(from: raw)
                filled = count
            }
        }
    }

    /// Every element of an integer tensor; of one of floats, cut to its integer.
    public func toInts() -> [Int] {
        bytes.withUnsafeBytes { raw in
            (0..<count).map {
                if dtype == .int64 { return Int(raw.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self)) }
                return Int(integerOf(Tensor.element(raw, dtype, $0)))
            }
        }
    }

    public var description: String { "\(dtype.rawValue) \(shape)" }

    /// The same numbers as `dtype`; rounded where that holds fewer digits.
    func converted(to dtype: DType) throws -> Tensor {
        dtype == self.dtype ? self : try Tensor(dtype, toDoubles(), shape)
    }

    private mutating func set<Element>(_ index: Int, _ value: Element) {
        bytes.withUnsafeMutableBytes {
            $0.storeBytes(of: value, toByteOffset: index * MemoryLayout<Element>.size, as: Element.self)
        }
    }

    @inline(__always)
    private static func element(_ raw: UnsafeRawBufferPointer, _ dtype: DType, _ index: Int) -> Double {
        switch dtype {
        case .bool, .uint8: return Double(raw[index])
        case .int8: return Double(Int8(bitPattern: raw[index]))
        case .int16: return Double(raw.loadUnaligned(fromByteOffset: 2 * index, as: Int16.self))
        case .int32: return Double(raw.loadUnaligned(fromByteOffset: 4 * index, as: Int32.self))
        case .int64: return Double(raw.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self))
        case .float16: return Double(floatOf(half: raw.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)))
        case .float32: return Double(raw.loadUnaligned(fromByteOffset: 4 * index, as: Float.self))
        case .float64: return raw.loadUnaligned(fromByteOffset: 8 * index, as: Double.self)
        }
    }

    private static func sizeBytes(_ dtype: DType, _ shape: [Int]) throws -> Int {
        var bytes = dtype.sizeBytes
        for size in shape {
            let (product, isTooLarge) = bytes.multipliedReportingOverflow(by: size)
            if size < 0 || isTooLarge { throw InputError("tensor \(dtype.rawValue) \(shape): has no such size") }
            bytes = product
        }
        if bytes > Int(Int32.max) {
            throw InputError("tensor \(dtype.rawValue) \(shape): has \(bytes) bytes, expected at most 2 GiB")
        }
        return bytes
    }
}

/// Cut to its integer; the nearest one where it is beyond 64 bits, 0 for NaN: Swift's own conversion ends the process.
func integerOf(_ value: Double) -> Int64 {
    Int64(exactly: value.rounded(.towardZero)) ?? (value > 0 ? .max : value < 0 ? .min : 0)
}

// Swift's own Float16 doesn't exist on a Mac with an Intel processor.

func floatOf(half: UInt16) -> Float {
    let sign = UInt32(half & 0x8000) << 16
    let exponent = UInt32(half >> 10 & 0x1f)
    let fraction = UInt32(half & 0x3ff)
    switch exponent {
    case 0: return (sign == 0 ? 0x1p-24 : -0x1p-24) * Float(fraction)
    case 0x1f: return Float(bitPattern: sign | 0x7f80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
}

/// Rounded to the nearest half, ties to even.
func halfOf(_ value: Float) -> UInt16 {
    let sign = UInt16(value.bitPattern >> 16 & 0x8000)
    let magnitude = value.bitPattern & 0x7fff_ffff
    if magnitude > 0x7f80_0000 { return sign | 0x7e00 }
    if magnitude >= 0x477f_f000 { return sign | 0x7c00 } // from 65520 on, infinity is nearest
    if magnitude < 0x3880_0000 { // subnormal: a multiple of 2^-24
        let multiple: Float = Float(bitPattern: magnitude) * 0x1p24
        return sign | UInt16(multiple.rounded(.toNearestOrEven))
    }
    let lastKept: UInt32 = magnitude >> 13 & 1
    let rounded: UInt32 = magnitude - (112 << 23) + 0xfff + lastKept
    return sign | UInt16(rounded >> 13)
}
