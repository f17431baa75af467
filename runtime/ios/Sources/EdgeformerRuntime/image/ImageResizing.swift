import Foundation

private let bits = 22 // of a weight's fraction: 32 of a sum, less 8 of a pixel, less 2 for weights beyond 1 and below 0

/// One channel: rows from the top.
struct Plane {
    let height: Int
    let width: Int
    let values: [UInt8]

    func transposed() -> Plane {
        var out = [UInt8](repeating: 0, count: values.count)
        for row in 0..<height {
            for column in 0..<width { out[column * height + row] = values[row * width + column] }
        }
        return Plane(height: width, width: height, values: out)
    }

    /// Its rows in `range`, all columns.
    func rows(_ range: Range<Int>) -> Plane {
        let part = values[range.lowerBound * width..<range.upperBound * width]
        return Plane(height: range.count, width: width, values: Array(part))
    }
}

/// The part of `plane` resized as `rows` and `columns` say, equal to Pillow's to the byte.
func resized(_ plane: Plane, rows: AxisPlacement, columns: AxisPlacement, resize: ImageResize) -> Plane {
    if resize.filter == .nearest { return nearest(plane, rows: rows, columns: columns) }
    let vertical = Weights(inputs: plane.height, axis: rows, resize: resize)
    let horizontal = Weights(inputs: plane.width, axis: columns, resize: resize)
    let shrinks = plane.height - rows.resized
    // As Pillow chooses, for speed; rounding between the passes makes the order visible.
    if shrinks > 0 && shrinks > 2 * (plane.width - columns.resized) {
        return filteredTwice(plane.transposed(), sooner: vertical, later: horizontal).transposed()
    }
    return filteredTwice(plane, sooner: horizontal, later: vertical)
}

/// `plane`, whose columns lie along the axis of `sooner` and whose rows along that of `later`.
private func filteredTwice(_ plane: Plane, sooner: Weights, later: Weights) -> Plane {
    let once = sooner.filtered(plane.rows(later.reach), skipped: 0)
    return later.filtered(once.transposed(), skipped: later.reach.lowerBound).transposed()
}

private func nearest(_ plane: Plane, rows: AxisPlacement, columns: AxisPlacement) -> Plane {
    let fromColumns = nearestInputs(plane.width, columns)
    var out: [UInt8] = []
    out.reserveCapacity(rows.count * columns.count)
    for row in nearestInputs(plane.height, rows) {
        for column in fromColumns { out.append(plane.values[row * plane.width + column]) }
    }
    return Plane(height: rows.count, width: columns.count, values: out)
}

/// The input of each output: the step is added again and again, so that rounding errors add up as Pillow's do.
private func nearestInputs(_ inputs: Int, _ axis: AxisPlacement) -> [Int] {
    let step = Double(inputs) / Double(axis.resized)
    var position = step * 0.5
    var found: [Int] = []
    for index in 0..<axis.start + axis.count {
        if index >= axis.start { found.append(Int(position)) }
        position += step
    }
    return found
}

/// The integer weights that make the wanted outputs of an axis; one of 1 each where its length doesn't change.
private struct Weights {
    private var firsts: [Int] = []
    private var weights: [[Int32]] = []

    /// The inputs that the outputs are made of.
    var reach: Range<Int> { firsts[0]..<firsts[firsts.count - 1] + weights[weights.count - 1].count }

    init(inputs: Int, axis: AxisPlacement, resize: ImageResize) {
        for output in axis.start..<axis.start + axis.count {
            if inputs == axis.resized {
                firsts.append(output)
                weights.append([1 << Int32(bits)])
            } else {
                weigh(output, inputs: inputs, resized: axis.resized, by: resize)
            }
        }
    }

    private mutating func weigh(_ output: Int, inputs: Int, resized: Int, by resize: ImageResize) {
        let scale = Double(inputs) / Double(resized)
        let stretch = max(scale, 1) // a picture that grows isn't smoothed
        let support = resize.filter.radius * stretch
        let center = (Double(output) + 0.5) * scale
        let first = max(Int(center - support + 0.5), 0)
        let last = min(Int(center + support + 0.5), inputs)
        let raw = (first..<last).map { weight((Double($0) - center + 0.5) * (1 / stretch), resize) }
        let sum = raw.reduce(0, +)
        firsts.append(first)
        weights.append(raw.map { value in
            let share = sum == 0 ? value : value / sum
            return Int32(share * Double(1 << bits) + (share < 0 ? -0.5 : 0.5))
        })
    }

    /// The outputs of each row of `plane`, whose first column is input `skipped`.
    func filtered(_ plane: Plane, skipped: Int) -> Plane {
        var out: [UInt8] = []
        out.reserveCapacity(plane.height * firsts.count)
        plane.values.withUnsafeBufferPointer { values in
            for row in 0..<plane.height {
                for (first, weights) in zip(firsts, weights) {
                    let start = row * plane.width + first - skipped
                    var total: Int32 = 1 << Int32(bits - 1)
                    for at in weights.indices { total &+= weights[at] &* Int32(values[start + at]) }
                    out.append(UInt8(min(max(total >> Int32(bits), 0), 255)))
                }
            }
        }
        return Plane(height: plane.height, width: firsts.count, values: out)
    }
}

private func weight(_ x: Double, _ resize: ImageResize) -> Double {
    switch resize.filter {
    case .nearest, .box: return x > -0.5 && x <= 0.5 ? 1 : 0
    case .bilinear: return abs(x) < 1 ? 1 - abs(x) : 0
    case .hamming:
        let angle = abs(x) * Double.pi
        if angle == 0 { return 1 }
        return abs(x) >= 1 ? 0 : sin(angle) / angle * (0.54 + 0.46 * cos(angle))
    case .bicubic: return cubic(abs(x), resize.cubicA)
    case .lanczos: return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0
    }
}

private func cubic(_ x: Double, _ a: Double) -> Double {
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
}

private func sinc(_ x: Double) -> Double {
    let angle = x * Double.pi
    return angle == 0 ? 1 : sin(angle) / angle
}
