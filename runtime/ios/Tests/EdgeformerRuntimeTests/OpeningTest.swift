import Foundation
import XCTest

@testable import EdgeformerRuntime

/// Archives, checksums and keys.
final class OpeningTest: FolderTestCase {
    func testArchivesEndAsInPython() throws {
        let expected = try Checkout.expectedFolder()
        let known = try readJson(Checkout.bytes(expected.appendingPathComponent("archives.json")), "archives.json")
        XCTAssertGreaterThanOrEqual(try known.object().count, 10)
        for (name, outcome) in try known.object() {
            let archive = expected.appendingPathComponent("archives/\(name)")
            XCTAssertEqual(opened(archive), try outcome.text(), name)
            XCTAssertEqual(FileManager.default.everything(below: folder), [], name)
        }
    }

    private func opened(_ archive: URL) -> String {
        do {
            return try ModelBundle(at: archive, temporary: folder).digest
        } catch {
            return (error as? RuntimeBundleError)?.code.rawValue ?? "\(error)"
        }
    }

    func testAnArchiveWithAnyByteChangedIsTheSameOrRefused() throws {
        let good = try Checkout.bytes(Checkout.expectedFolder().appendingPathComponent("archives/deflated.zip"))
        let file = folder.appendingPathComponent("changed.zip")
        try Data(good).write(to: file)
        let digest = opened(file)
        XCTAssertEqual(digest.count, 64)
        for at in stride(from: 0, to: good.count, by: 11) {
            var bad = good
            bad[at] ^= 4
            try Data(bad).write(to: file)
            let outcome = opened(file)
            XCTAssert([digest, "zip", "path", "files", "not-a-bundle"].contains(outcome), "byte \(at): \(outcome)")
        }
    }

    func testDigestsAreThoseOfFips180() {
        let known = [
            0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            3: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ]
        for (count, digest) in known { XCTAssertEqual(sha256(Array("abc".utf8.prefix(count))), digest) }
        let million = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        let digest = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        XCTAssertEqual(sha256(million), digest)
        var parts = Sha256()
        for start in stride(from: 0, to: million.count, by: 999) {
            million[start..<min(start + 999, million.count)].withUnsafeBytes { parts.update($0) }
        }
        XCTAssertEqual(parts.finished(), digest)
    }

    func testWhatIsNoPublicKeyIsRefused() throws {
        let good = try Checkout.text("keys/key.pem")
        XCTAssertEqual(try SigningKey(pem: good).id.count, 64)
        for bad in ["", "no key", good.replacingOccurrences(of: "PUBLIC", with: "PRIVATE"), String(good.dropLast(40))] {
            XCTAssertThrowsError(try SigningKey(pem: bad)) { XCTAssert($0 is InputError, "\($0)") }
        }
    }
}
