import Foundation
import XCTest

@testable import EdgeformerRuntime

final class AudioTest: XCTestCase {
    /// Waveforms, other rates and spectrograms, within 10⁻⁵ of what the Python runtime makes of them.
    func testSoundsBecomeTheTensorsOfPython() throws {
        let known = try Checkout.expected("sounds")
        XCTAssertGreaterThan(known.count, 20)
        for item in known {
            let settings = try item["settings"]
            let encoder = AudioEncoder(try readAudioPreprocess(settings, "settings"))
            let samples = try item["samples"].list().map { Float(try $0.double()) }
            let sound = try Sound(samples: samples, rateHz: try item["rate"].int())
            if try item["feeds"].isNull {
                XCTAssertThrowsError(try encoder.encode(sound), "\(settings)") { XCTAssert($0 is InputError) }
                continue
            }
            let (found, feeds) = (try encoder.encode(sound).feeds, try item["feeds"].object())
            XCTAssertEqual(found.keys.sorted(), feeds.keys.sorted())
            for (name, expected) in feeds {
                let (tensor, pair) = (try XCTUnwrap(found[name]), try expected.list())
                XCTAssertEqual(tensor.shape, try pair[0].list().map { try $0.int() }, "\(settings)")
                let worst = zip(tensor.toDoubles(), try pair[1].numbers()).map { abs($0 - $1) }.max() ?? .nan
                XCTAssertLessThanOrEqual(worst, 1e-5, "\(name) of \(settings)")
            }
        }
    }

    func testEveryEncodingOfAWavFile() throws {
        let double = withUnsafeBytes(of: (-0.5).bitPattern.littleEndian) { Array($0) }
        for (kind, bits, sample) in [
            (1, 8, [64]), (1, 16, [0, 0xc0]), (1, 24, [0, 0, 0xc0]), (1, 32, [0, 0, 0, 0xc0]), (3, 32, [0, 0, 0, 0xbf]),
            (3, 64, double),
        ] {
            for isExtensible in [false, true] {
                let file = wav(kind: kind, bits: bits, data: sample + sample, isExtensible: isExtensible)
                let sound = try Sound(wav: Data(file))
                XCTAssertEqual(sound.samples, [-0.5, -0.5], "encoding \(kind) of \(bits) bits")
                XCTAssertEqual(sound.rateHz, 8000)
            }
        }
        let stereo = try Sound(wav: Data(wav(channels: 2, data: [0, 0x40, 0, 0])))
        XCTAssertEqual(stereo.samples, [0.25])
        XCTAssertEqual(stereo.notes, ["2 channels were averaged into one"])
        XCTAssertEqual(try Sound(wav: Data(wav(data: [0, 0x40], said: 0xffff_ffff))).samples, [0.5]) // of a stream
    }

    func testDamagedAndOddFilesAreRefused() {
        let plain = wav(data: [0, 0x40])
        for file in [
            [], Array(plain.prefix(11)), Array(plain.prefix(plain.count - 1)), Array(plain.prefix(36)), wav(data: []),
            wav(data: [0]), wav(kind: 2, data: [0, 0]), wav(bits: 12, data: [0, 0]), wav(channels: 0, data: [0, 0]),
            wav(channels: 65, data: [0, 0]), wav(rate: 999, data: [0, 0]),
            wav(kind: 3, bits: 32, data: [0, 0, 0xc0, 0x7f]),
            wav(data: [0, 0], said: 3),
            Array(plain.prefix(12)) + Array(plain.suffix(10)), Array("RIFX".utf8) + plain.dropFirst(4),
        ] {
            XCTAssertThrowsError(try Sound(wav: Data(file)), "\(file)") { XCTAssert($0 is InputError) }
        }
        for value in [Float.nan, .infinity, 1001] {
            XCTAssertThrowsError(try Sound(samples: [value], rateHz: 8000)) { XCTAssert($0 is InputError) }
        }
    }

    /// Cut anywhere, and with any byte changed, a file gives a sound or the typed error; nothing else, and no crash.
    func testEveryChangeOfAFileIsASoundOrRefused() {
        let file = wav(kind: 1, bits: 24, channels: 2, data: [UInt8](0..<60), isExtensible: true)
        for at in file.indices {
            var changed = file
            changed[at] ^= 0x81
            for change in [[UInt8](file.prefix(at)), changed] {
                do {
                    _ = try Sound(wav: Data(change))
                } catch {
                    XCTAssert(error is InputError, "\(error)")
                }
            }
        }
    }

    func testWhatWasDoneIsSaid() throws {
        let settings = #"{"kind": "audio", "rate_hz": 16000, "max_samples": 100}"#
        let encoder = AudioEncoder(try readAudioPreprocess(try readJson(Array(settings.utf8), "settings"), "settings"))
        let sound = try Sound(samples: [Float](repeating: 0, count: 80), rateHz: 8000)
        let encoded = try encoder.encode(sound)
        XCTAssert(encoded.isTruncated)
        XCTAssertEqual(encoded.notes, [
            "is silence: all its samples are 0.0", "was resampled from 8000 Hz to 16000 Hz",
            "was cut from 0.01 s to 0.01 s",
        ])
    }

    private func wav(
        kind: Int = 1, bits: Int = 16, channels: Int = 1, rate: Int = 8000, data: [UInt8], said: Int? = nil,
        isExtensible: Bool = false
    ) -> [UInt8] {
        let block = channels * bits / 8
        var format = little(isExtensible ? 0xfffe : kind, 2) + little(channels, 2) + little(rate, 4)
        format += little(rate * block, 4) + little(block, 2) + little(bits, 2)
        if isExtensible {
            format += little(22, 2) + little(bits, 2) + little(0, 4) + little(kind, 2)
            format += [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]
        }
        let chunks = Array("WAVEfmt ".utf8) + little(format.count, 4) + format
        let odd = Array("odd ".utf8) + little(3, 4) + [1, 2, 3, 0] // a chunk to pass over, with its byte of padding
        let samples = Array("data".utf8) + little(said ?? data.count, 4) + data
        return Array("RIFF".utf8) + little(0, 4) + chunks + odd + samples
    }

    private func little(_ value: Int, _ size: Int) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
}
