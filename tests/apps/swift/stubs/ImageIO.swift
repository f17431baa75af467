@_exported import CoreGraphics

// Apple's own are bridged to these.
public typealias CFData = NSData
public typealias CFString = String
public typealias CFDictionary = [String: Any]

public final class CGImageSource {}

public enum CGImageSourceStatus: Int32 {
    case unexpectedEOF = -5, invalidData, unknownType, readingHeader, incomplete, statusComplete
}

public let kCGImagePropertyPixelWidth: CFString = "PixelWidth"
public let kCGImagePropertyPixelHeight: CFString = "PixelHeight"
public let kCGImagePropertyOrientation: CFString = "Orientation"

public func CGImageSourceCreateWithData(_: CFData, _: CFDictionary?) -> CGImageSource? { fatalError() }
public func CGImageSourceGetCount(_: CGImageSource) -> Int { fatalError() }
public func CGImageSourceGetType(_: CGImageSource) -> CFString? { fatalError() }
public func CGImageSourceGetStatus(_: CGImageSource) -> CGImageSourceStatus { fatalError() }
public func CGImageSourceCopyPropertiesAtIndex(_: CGImageSource, _: Int, _: CFDictionary?) -> CFDictionary? {
    fatalError()
}
public func CGImageSourceCreateImageAtIndex(_: CGImageSource, _: Int, _: CFDictionary?) -> CGImage? { fatalError() }
