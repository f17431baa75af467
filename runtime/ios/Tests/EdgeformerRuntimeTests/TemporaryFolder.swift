import Foundation
import XCTest

@testable import EdgeformerRuntime

/// A test that has a folder of its own, which goes with it.
class FolderTestCase: XCTestCase {
    private(set) var folder = URL(fileURLWithPath: "/")

    override func setUpWithError() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("edgeformer-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(at: folder) }

    /// A copy of a conformance bundle whose manifest, without its checksum, `change` changes.
    func changed(
        _ bundle: String = "text-classification", _ change: (inout [String: Json]) throws -> Void
    ) throws -> URL {
        let copy = folder.appendingPathComponent(UUID().uuidString)
        try FileManager.default.copyItem(at: Checkout.bundle(bundle), to: copy)
        var manifest = try members(Checkout.json("bundles/\(bundle)/manifest.json"))
        manifest["checksum"] = nil
        try change(&manifest)
        try Data(jsonText(object(manifest)).utf8).write(to: copy.appendingPathComponent("manifest.json"))
        return copy
    }

    /// The same, whose only variant `change` changes or gives others beside it.
    func changedVariant(
        _ bundle: String = "text-classification", _ change: @escaping ([String: Json]) throws -> [[String: Json]]
    ) throws -> URL {
        try changed(bundle) { manifest in
            let variant = try members(XCTUnwrap(manifest["variants"]).list()[0])
            manifest["variants"] = .list(try change(variant).map(object))
        }
    }
}

/// Keys and values of an object; keys of tests are plain ASCII.
func members(_ value: Json) throws -> [String: Json] {
    Dictionary(try value.object().map { ($0.key, $0.value) }) { first, _ in first }
}

func object(_ members: [String: Json]) -> Json { Json(members.map { (key: $0.key, value: $0.value) }) }

extension FileManager {
    /// Paths of everything below `folder`.
    func everything(below folder: URL) -> [String] {
        (enumerator(atPath: folder.path)?.allObjects as? [String] ?? []).sorted()
    }
}

/// Of an async call, which XCTest's own has none for.
func assertThrows<T, Failure: Error>(
    _: Failure.Type, _ containing: String = "", file: StaticString = #filePath, line: UInt = #line,
    _ call: () async throws -> T
) async {
    do {
        _ = try await call()
        XCTFail("expected \(Failure.self)", file: file, line: line)
    } catch {
        let fits = error is Failure && (containing.isEmpty || "\(error)".contains(containing))
        XCTAssert(fits, "expected \(Failure.self) \(containing), got \(error)", file: file, line: line)
    }
}

extension Checkout {
    /// A text below tests/conformance.
    static func text(_ path: String) throws -> String {
        String(decoding: try bytes(conformance.appendingPathComponent(path)), as: UTF8.self)
    }

    /// The folder that tests/apps/expected.py wrote.
    static func expectedFolder() throws -> URL { try prepared("EDGEFORMER_EXPECTED") }

    /// A folder that a variable of the environment names.
    static func prepared(_ variable: String) throws -> URL {
        URL(fileURLWithPath: try XCTUnwrap(
            ProcessInfo.processInfo.environment[variable], "\(variable) isn't set: run tests/apps/swift/run.sh"
        ))
    }
}
