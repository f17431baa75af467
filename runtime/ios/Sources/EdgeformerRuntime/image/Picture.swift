/// A decoded, upright picture: `rgba` holds red, green, blue and opacity of each pixel, rows from the top. Colours
/// aren't multiplied by the opacity.
public struct Picture: Sendable {
    static let maxPixels = 89_478_485

    public let width: Int
    public let height: Int
    public let rgba: [UInt8]

    /// Throws InputError where there aren't four bytes a pixel, or more than 89,478,485 pixels.
    public init(width: Int, height: Int, rgba: [UInt8]) throws {
        try Self.checkSize(width: width, height: height)
        guard rgba.count == 4 * width * height else {
            throw InputError("picture of \(width) x \(height) pixels: expected 4 bytes each, got \(rgba.count) bytes")
        }
        self.width = width
        self.height = height
        self.rgba = rgba
    }

    static func checkSize(width: Int, height: Int) throws {
        guard width >= 1, height >= 1, width <= maxPixels / height else {
            throw InputError("picture of \(width) x \(height) pixels: expected 1 to \(maxPixels) pixels")
        }
    }

    /// The picture as its file's EXIF orientation (1 to 8) wants it seen; as it is for any other number.
    func upright(orientation: Int) throws -> Picture {
        guard (2...8).contains(orientation) else { return self }
        let isTurned = orientation >= 5
        let flipsRows = [3, 4, 6, 7].contains(orientation)
        let flipsColumns = [2, 3, 7, 8].contains(orientation)
        let (rows, columns) = isTurned ? (width, height) : (height, width)
        var out = [UInt8](repeating: 0, count: rgba.count)
        for row in 0..<rows {
            for column in 0..<columns {
                let (y, x) = isTurned ? (column, row) : (row, column)
                let from = 4 * ((flipsRows ? height - 1 - y : y) * width + (flipsColumns ? width - 1 - x : x))
                let to = 4 * (row * columns + column)
                for channel in 0..<4 { out[to + channel] = rgba[from + channel] }
            }
        }
        return try Picture(width: columns, height: rows, rgba: out)
    }
}
