extension Tensor {
    /// With each dimension cut at its end, or filled up there with `fill`, to `shape`, which has as many.
    func reshaped(to shape: [Int], fill: Double = 0) throws -> Tensor {
        if shape == self.shape { return self }
        var made = try Tensor(zeros: dtype, shape)
        if count == 0 || made.count == 0 { return made }
        if fill != 0 { for index in 0..<made.count { made[index] = fill } }
        let row = min(shape.last!, self.shape.last!)
        let common = zip(shape, self.shape).map(min)
        var place = [Int](repeating: 0, count: shape.count)
        while true {
            var (from, to) = (0, 0)
            for axis in shape.indices {
                from = from * self.shape[axis] + place[axis]
                to = to * shape[axis] + place[axis]
            }
            made.copy(row, from: self, from, to: to)
            var axis = shape.count - 2
            while axis >= 0 {
                place[axis] += 1
                if place[axis] < common[axis] { break }
                place[axis] = 0
                axis -= 1
            }
            if axis < 0 { return made }
        }
    }

    /// The entries `indices` along `axis`.
    func taking(_ indices: [Int], axis: Int) throws -> Tensor {
        var shape = shape
        shape[axis] = indices.count
        var made = try Tensor(zeros: dtype, shape)
        let inner = shape[(axis + 1)...].reduce(1, *)
        for block in 0..<shape[..<axis].reduce(1, *) {
            for (at, index) in indices.enumerated() {
                let from = (block * self.shape[axis] + index) * inner
                made.copy(inner, from: self, from, to: (block * indices.count + at) * inner)
            }
        }
        return made
    }

    /// `parts`, which differ in the size of `axis` alone, one behind the other.
    static func concatenated(_ parts: [Tensor], axis: Int) throws -> Tensor {
        var shape = parts[0].shape
        shape[axis] = parts.reduce(0) { $0 + $1.shape[axis] }
        var made = try Tensor(zeros: parts[0].dtype, shape)
        let inner = shape[(axis + 1)...].reduce(1, *)
        var before = 0
        for part in parts {
            let own = part.shape[axis] * inner
            for block in 0..<shape[..<axis].reduce(1, *) {
                made.copy(own, from: part, block * own, to: (block * shape[axis] + before) * inner)
            }
            before += part.shape[axis]
        }
        return made
    }

    /// Places and `count` in elements.
    private mutating func copy(_ count: Int, from: Tensor, _ start: Int, to target: Int) {
        let size = dtype.sizeBytes
        bytes.replaceSubrange(
            target * size..<(target + count) * size, with: from.bytes[start * size..<(start + count) * size]
        )
    }
}
