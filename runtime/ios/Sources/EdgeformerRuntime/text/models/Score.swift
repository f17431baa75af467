/// A score as `tokenizers` reads it: its JSON reader takes a number's digits as one integer, rounds that to a double,
/// and divides by a power of ten, which rounds again. Where two ways to write a word score alike, the last bit decides.
///
/// `value` is what a reader gives that rounds once; its shortest digits are taken for those of the file.
func score(of value: Double) -> Double {
    let written = value.magnitude.description.split(separator: "e")
    let mantissa = written[0].split(separator: ".")
    let fraction = mantissa.count == 2 && mantissa[1] != "0" ? String(mantissa[1]) : ""
    let exponent = (written.count == 2 ? Int(written[1])! : 0) - fraction.count
    let digits = Double(mantissa[0] + fraction)!
    let size = exponent < 0 ? divided(digits, places: -exponent) : digits * powerOfTen(exponent)
    return value < 0 ? -size : size
}

private func divided(_ digits: Double, places: Int) -> Double {
    places <= 308 ? digits / powerOfTen(places) : digits / 1e308 / powerOfTen(places - 308)
}

/// The double nearest to it.
private func powerOfTen(_ exponent: Int) -> Double {
    Double("1e\(exponent)")!
}
