import XCTest

@testable import EdgeformerRuntime

final class ImageTest: XCTestCase {
    /// Odd sizes, every filter, crop and kind of pixels: bit by bit as the Python runtime makes them.
    func testPicturesBecomeTheTensorsOfPython() throws {
        let known = try Checkout.expected("pictures")
        XCTAssertGreaterThan(known.count, 50)
        for item in known {
            let preprocess = try readImagePreprocess(try item["settings"], "settings")
            let picture = try picture(item)
            let tensor = try XCTUnwrap(try ImageEncoder(preprocess).encode(picture)["pixel_values"])
            XCTAssertEqual(tensor.shape, try item["shape"].list().map { try $0.int() })
            let bits = try item["bits"].list().map { UInt32(bitPattern: Int32(try $0.int())) }
            let made = tensor.toFloats().map(\.bitPattern)
            XCTAssertEqual(made, bits, "\(picture.width) x \(picture.height) \(preprocess)")
        }
    }

    /// Pixels as expected.py writes them have 1, 3 or 4 bytes.
    private func picture(_ item: Json) throws -> Picture {
        let (width, height) = (try item["width"].int(), try item["height"].int())
        let bytes = try item["pixels"].list().map { UInt8(try $0.int()) }
        let channels = bytes.count / (width * height)
        var rgba: [UInt8] = []
        for pixel in stride(from: 0, to: bytes.count, by: channels) {
            rgba += channels == 1 ? [bytes[pixel], bytes[pixel], bytes[pixel]] : Array(bytes[pixel..<pixel + 3])
            rgba.append(channels == 4 ? bytes[pixel + 3] : 255)
        }
        return try Picture(width: width, height: height, rgba: rgba)
    }

    /// The letters of each row, a pixel each, before and as FORMAT.md says that each orientation is seen.
    func testOrientations() throws {
        let seen = [
            1: ["abc", "def"], 2: ["cba", "fed"], 3: ["fed", "cba"], 4: ["def", "abc"],
            5: ["ad", "be", "cf"], 6: ["da", "eb", "fc"], 7: ["fc", "eb", "da"], 8: ["cf", "be", "ad"],
            0: ["abc", "def"], 9: ["abc", "def"],
        ]
        func pixels(_ letters: String) -> [UInt8] {
            letters.utf8.flatMap { (letter: UInt8) -> [UInt8] in [letter, 0, 1, 255] }
        }
        for (orientation, rows) in seen {
            let picture = try Picture(width: 3, height: 2, rgba: pixels("abcdef")).upright(orientation: orientation)
            XCTAssertEqual([picture.width, picture.height], [rows[0].count, rows.count])
            XCTAssertEqual(picture.rgba, pixels(rows.joined()), "orientation \(orientation)")
        }
    }

    func testWhatCantBeAPictureIsRefused() throws {
        for (width, height, bytes) in [(2, 2, 15), (0, 0, 0), (-1, -1, 4), (1 << 32, 1 << 32, 0)] {
            XCTAssertThrowsError(try Picture(width: width, height: height, rgba: [UInt8](repeating: 0, count: bytes))) {
                XCTAssert($0 is InputError)
            }
        }
        let settings = #"{"kind": "image", "color": "L", "mean": [0.5], "std": [0.5], "crop": [2, 2], "resize": "#
            + #"{"mode": "shortest", "size": [4000], "filter": "box"}}"#
        let line = try Picture(width: 1, height: 5000, rgba: [UInt8](repeating: 0, count: 20_000))
        XCTAssertThrowsError(try ImageEncoder(try preprocess(settings)).encode(line)) { XCTAssert($0 is InputError) }
    }

    func testSettingsThatMeanNothingAreRefused() throws {
        let plain = #""kind": "image", "color": "L", "mean": [0.5]"#
        for settings in [
            #"{\#(plain), "std": [0.5]}"#, #"{\#(plain), "std": [0.0], "crop": [2, 2]}"#,
            #"{\#(plain), "std": [0.5, 0.5], "crop": [2, 2]}"#, #"{\#(plain), "std": [0.5], "crop": [2]}"#,
            #"{\#(plain), "std": [0.5], "crop": [2, 2], "layout": "NHWC"}"#,
            #"{\#(plain), "std": [0.5], "crop": [2, 2], "odd": 1}"#,
            #"{\#(plain), "std": [0.5], "resize": {"mode": "exact", "size": [1], "filter": "box"}}"#,
        ] {
            XCTAssertThrowsError(try preprocess(settings), settings) { XCTAssert($0 is RuntimeBundleError) }
        }
    }

    private func preprocess(_ text: String) throws -> ImagePreprocess {
        try readImagePreprocess(try readJson(Array(text.utf8), "settings"), "settings")
    }
}
