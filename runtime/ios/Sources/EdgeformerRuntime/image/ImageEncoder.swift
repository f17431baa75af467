/// Makes tensors of pictures; equal to the Python runtime's bit by bit.
struct ImageEncoder: Sendable {
    private let preprocess: ImagePreprocess
    /// A byte has 256 values, so that the arithmetic after resizing is a table a channel.
    private let tables: [[Float]]

    init(_ preprocess: ImagePreprocess) {
        self.preprocess = preprocess
        tables = zip(preprocess.mean, preprocess.std).map { mean, std in
            (0..<256).map { (Float(Double($0) * preprocess.rescale) - Float(mean)) / Float(std) }
        }
    }

    /// {the input's name: float32 [1, channels, height, width]}; throws InputError for a too elongated picture.
    func encode(_ picture: Picture) throws -> [String: Tensor] {
        let (height, width) = (preprocess.shape[1], preprocess.shape[2])
        let (rows, columns) = try preprocess.place(height: picture.height, width: picture.width)
        var values: [Float] = []
        values.reserveCapacity(tables.count * height * width)
        for (channel, table) in tables.enumerated() {
            let plane = placed(channelOf(picture, channel), rows: rows, columns: columns)
            var out = [Float](repeating: table[0], count: height * width)
            for row in 0..<rows.count {
                let (from, to) = (row * columns.count, (row + rows.offset) * width + columns.offset)
                for column in 0..<columns.count { out[to + column] = table[Int(plane.values[from + column])] }
            }
            values += out
        }
        return [preprocess.input: try Tensor(values, [1] + preprocess.shape)]
    }

    private func channelOf(_ picture: Picture, _ channel: Int) -> Plane {
        var values: [UInt8] = []
        values.reserveCapacity(picture.width * picture.height)
        picture.rgba.withUnsafeBufferPointer { rgba in
            for pixel in 0..<picture.width * picture.height {
                if preprocess.isGrey {
                    let (red, green, blue) = (over(rgba, pixel, 0), over(rgba, pixel, 1), over(rgba, pixel, 2))
                    let sum: Int = 19595 * red + 38470 * green + 7471 * blue
                    values.append(UInt8((sum + 32768) / 65536))
                } else {
                    values.append(UInt8(over(rgba, pixel, channel)))
                }
            }
        }
        return Plane(height: picture.height, width: picture.width, values: values)
    }

    /// A channel, over white where the picture is transparent: rounded to nearest.
    private func over(_ rgba: UnsafeBufferPointer<UInt8>, _ pixel: Int, _ channel: Int) -> Int {
        let value = Int(rgba[4 * pixel + channel])
        let alpha = Int(rgba[4 * pixel + 3])
        return !preprocess.isOverWhite || alpha == 255 ? value : (value * alpha + 255 * (255 - alpha) + 127) / 255
    }

    private func placed(_ plane: Plane, rows: AxisPlacement, columns: AxisPlacement) -> Plane {
        if let resize = preprocess.resize { return resized(plane, rows: rows, columns: columns, resize: resize) }
        var out: [UInt8] = []
        out.reserveCapacity(rows.count * columns.count)
        for row in rows.start..<rows.start + rows.count {
            let from = row * plane.width + columns.start
            out += plane.values[from..<from + columns.count]
        }
        return Plane(height: rows.count, width: columns.count, values: out)
    }
}
