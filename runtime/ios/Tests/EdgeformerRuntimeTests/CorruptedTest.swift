import Foundation
import XCTest

@testable import EdgeformerRuntime

private let maxSeconds = 1.0 // of this process's processor time
private let maxBytes = 256 << 20 // by which the process's largest size may grow

/// Bundles that are damaged, altered or hostile have the code that every reader gives: tests/conformance/README.md.
final class CorruptedTest: FolderTestCase {
    func testCorruptedBundlesHaveTheirCode() throws {
        let all = try Checkout.json("corrupted.json").list()
        XCTAssertGreaterThanOrEqual(all.count, 60)
        for known in all {
            let name = try known["name"].text()
            try check(known, folder.appendingPathComponent(name), name)
        }
    }

    func testATokenizerThatIsntKnownIsRefusedWhenASessionIsOpened() async throws {
        let all = try Checkout.json("corrupted.json").list().filter { try $0["name"].text().hasPrefix("tokenizer_") }
        XCTAssert(try all.contains { try $0["code"].isNull } && all.contains { try !$0["code"].isNull })
        for known in all {
            let name = try known["name"].text()
            let bundle = try made(known, folder.appendingPathComponent(name))
            if try known["code"].isNull {
                let session = try await Session.open(bundle)
                XCTAssert(session.selfCheck.hasPrefix("self-check: passed"), session.selfCheck)
                continue
            }
            do {
                _ = try await Session.open(bundle)
                XCTFail("\(name) was opened")
            } catch let error as RuntimeBundleError {
                XCTAssertEqual(error.code.rawValue, try known["code"].text(), name)
            }
        }
    }

    private func check(_ known: Json, _ folder: URL, _ name: String) throws {
        let bundle = try made(known, folder)
        let unpacked = folder.appendingPathComponent("unpacked")
        try FileManager.default.createDirectory(at: unpacked, withIntermediateDirectories: true)
        let keys = try known.object()["keys"]?.list().map { key in
            try SigningKey(pem: Checkout.text("keys/\(key.text())"))
        } ?? []
        let before = FileManager.default.everything(below: folder)
        let (start, size) = (clock(), try XCTUnwrap(peakRssBytes()))
        let found = code(bundle, keys, unpacked)
        XCTAssertLessThan(Double(clock() - start) / Double(CLOCKS_PER_SEC), maxSeconds, name)
        XCTAssertLessThan(try XCTUnwrap(peakRssBytes()) - size, maxBytes, name)
        XCTAssertEqual(found, expected(try known["code"], keys), name)
        XCTAssertEqual(FileManager.default.everything(below: folder), before, name)
    }

    /// Without CryptoKit a good signature is refused as well, and says why.
    private func expected(_ code: Json, _ keys: [SigningKey]) -> String? {
        if case .string(let text) = code { return text }
        #if canImport(CryptoKit)
        return nil
        #else
        return keys.isEmpty ? nil : ErrorCode.signature.rawValue
        #endif
    }

    /// What opening it, and reading its golden rows and its tokenizer, ends with; nil where it is sound.
    private func code(_ bundle: URL, _ keys: [SigningKey], _ unpacked: URL) -> String? {
        do {
            let opened = try ModelBundle(at: bundle, keys: keys, temporary: unpacked)
            _ = try readGolden(opened)
            _ = try textEncoder(of: opened)
            return nil
        } catch {
            return (error as? RuntimeBundleError)?.code.rawValue ?? "\(error)"
        }
    }

    /// The bundle, or the .zip of one, in `folder`.
    private func made(_ known: Json, _ folder: URL) throws -> URL {
        let source = Checkout.conformance.appendingPathComponent(try known["bundle"].text())
        let bundle = folder.appendingPathComponent(source.lastPathComponent)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(at: source, to: bundle)
        for change in try known["changes"].list() {
            let name = try change.object()["file"]?.text()
            let file = name.map { bundle.appendingPathComponent($0) } ?? bundle
            try apply(change, file, outside: folder.appendingPathComponent("outside"))
        }
        return bundle
    }

    private func apply(_ change: Json, _ file: URL, outside: URL) throws {
        let files = FileManager.default
        switch try change["change"].text() {
        case "delete": try files.removeItem(at: file)
        case "folder":
            try? files.removeItem(at: file)
            try files.createDirectory(at: file, withIntermediateDirectories: true)
        case "link":
            if let to = try change.object()["to"] {
                try? files.removeItem(at: file)
                XCTAssertEqual(symlink(try to.text(), file.path), 0)
            } else {
                try files.moveItem(at: file, to: outside)
                XCTAssertEqual(symlink(outside.path, file.path), 0)
            }
        case "hard-link": try files.linkItem(at: file, to: outside)
        case "grow":
            if !files.fileExists(atPath: file.path) { try Data().write(to: file) }
            XCTAssertEqual(truncate(file.path, try change["bytes"].int()), 0)
        default:
            try files.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            var content = files.fileExists(atPath: file.path) ? try Checkout.bytes(file) : []
            for edit in try change["edits"].list() { try apply(edit.list(), to: &content) }
            try Data(content).write(to: file)
        }
    }

    /// (position, bytes deleted, text as Latin-1, times)
    private func apply(_ edit: [Json], to content: inout [UInt8]) throws {
        let (at, deleted) = (try edit[0].int(), try edit[1].int())
        let text = try edit[2].text().unicodeScalars.map { UInt8($0.value) }
        let inserted = (0..<(try edit[3].int())).flatMap { _ in text }
        content.replaceSubrange(at..<at + deleted, with: inserted)
    }
}
