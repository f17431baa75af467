@_exported import Foundation

public enum CGImageAlphaInfo: UInt32 {
    case none, premultipliedLast, premultipliedFirst, last, first, noneSkipLast, noneSkipFirst, alphaOnly
}

public enum CGColorSpaceModel: Int32 {
    case unknown = -1, monochrome, rgb, cmyk, lab, deviceN, indexed, pattern, XYZ
}

public final class CGColorSpace {
    public var model: CGColorSpaceModel { fatalError() }
}

public func CGColorSpaceCreateDeviceGray() -> CGColorSpace { fatalError() }
public func CGColorSpaceCreateDeviceRGB() -> CGColorSpace { fatalError() }

public final class CGImage {
    public var width: Int { fatalError() }
    public var height: Int { fatalError() }
    public var alphaInfo: CGImageAlphaInfo { fatalError() }
    public var colorSpace: CGColorSpace? { fatalError() }
    public func copy(colorSpace: CGColorSpace) -> CGImage? { fatalError() }
}

public final class CGContext {
    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int, bytesPerRow: Int,
        space: CGColorSpace, bitmapInfo: UInt32
    ) { fatalError() }
    public func draw(_ image: CGImage, in rect: CGRect) { fatalError() }
}
