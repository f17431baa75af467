#if canImport(ImageIO)
import CoreGraphics
import Foundation
import ImageIO

extension Picture {
    /// The picture of a file's bytes (JPEG, PNG, HEIC and what else ImageIO reads), turned by its EXIF orientation.
    ///
    /// Colour profiles are ignored, but of palettes. JPEG decoders differ by a level. Core Graphics keeps colours
    /// multiplied by their opacity, so what is neither opaque nor clear comes back up to a few levels off. Throws
    /// InputError for what is no picture, damaged, several pictures (of JPEG and HEIC the first is taken), CMYK, and
    /// grey with transparency.
    public init(file data: Data) throws {
        guard let source = CGImageSourceCreateWithData(NSData(data: data) as CFData, nil),
              CGImageSourceGetCount(source) > 0,
              let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [String: Any],
              let width = properties[kCGImagePropertyPixelWidth as String] as? Int,
              let height = properties[kCGImagePropertyPixelHeight as String] as? Int
        else {
            throw InputError("picture: \(data.count) bytes that are no picture here: expected JPEG, PNG or HEIC")
        }
        try Picture.checkSize(width: width, height: height) // before anything is decoded
        let type = CGImageSourceGetType(source) as String? ?? ""
        if CGImageSourceGetCount(source) > 1, !["public.jpeg", "public.heic", "public.heif"].contains(type) {
            throw InputError("picture: the file (\(type)) holds several pictures: hand over the one that is meant")
        }
        guard CGImageSourceGetStatus(source) == .statusComplete,
              let image = CGImageSourceCreateImageAtIndex(source, 0, nil)
        else {
            throw InputError("picture: the file is cut off or damaged: get it again")
        }
        let orientation = properties[kCGImagePropertyOrientation as String] as? Int ?? 1
        let decoded = try Picture(width: image.width, height: image.height, rgba: pixels(of: image))
        self = try decoded.upright(orientation: orientation)
    }
}

private func pixels(of image: CGImage) throws -> [UInt8] {
    switch image.colorSpace?.model {
    case .rgb: return try colours(of: image.copy(colorSpace: CGColorSpaceCreateDeviceRGB()))
    case .indexed: return try colours(of: image)
    case .monochrome where [.none, .noneSkipFirst, .noneSkipLast].contains(image.alphaInfo):
        let grey = CGColorSpaceCreateDeviceGray()
        let values = try drawn(image.copy(colorSpace: grey), channels: 1, space: grey, alpha: .none)
        return values.flatMap { [$0, $0, $0, 255] }
    default: throw InputError("picture: expected RGB, or grey without transparency: convert it to RGB")
    }
}

private func colours(of image: CGImage?) throws -> [UInt8] {
    var rgba = try drawn(image, channels: 4, space: CGColorSpaceCreateDeviceRGB(), alpha: .premultipliedLast)
    for pixel in stride(from: 0, to: rgba.count, by: 4) {
        let alpha = Int(rgba[pixel + 3])
        if alpha == 0 || alpha == 255 { continue }
        for channel in pixel..<pixel + 3 {
            rgba[channel] = UInt8(min((Int(rgba[channel]) * 255 + alpha / 2) / alpha, 255))
        }
    }
    return rgba
}

/// [height, width, channels] as a bitmap of this form holds the picture.
private func drawn(_ image: CGImage?, channels: Int, space: CGColorSpace, alpha: CGImageAlphaInfo) throws -> [UInt8] {
    guard let image else { throw InputError("picture: its colours can't be read: convert it to RGB") }
    var values = [UInt8](repeating: 0, count: image.height * image.width * channels)
    let isDrawn = values.withUnsafeMutableBytes { buffer -> Bool in
        guard let context = CGContext(
            data: buffer.baseAddress, width: image.width, height: image.height, bitsPerComponent: 8,
            bytesPerRow: image.width * channels, space: space, bitmapInfo: alpha.rawValue
        ) else { return false }
        context.draw(image, in: CGRect(x: 0, y: 0, width: image.width, height: image.height))
        return true
    }
    if !isDrawn { throw InputError("picture: no memory for \(image.width) x \(image.height) pixels: make it smaller") }
    return values
}
#endif
