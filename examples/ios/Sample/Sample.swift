import EdgeformerRuntime
import Foundation

/// What the app does; SampleApp.swift is how it looks. Nothing here runs on the main thread.
actor Sample {
    /// What is open, a sentence each.
    struct Opened: Sendable {
        let name: String
        let engine: String
        let agreement: String
        let kinds: [String] // "text", "image", "audio"
        let loadMs: Double
    }

    /// A prediction, and how long it took with everything that belongs to it.
    struct Found: Sendable {
        let lines: [String]
        let ms: Double
    }

    private let location: URL
    private var session: Session?

    /// `location`: a bundle's folder, or a .zip of one.
    init(bundle location: URL) {
        self.location = location
    }

    /// Hashes the bundle's files, loads a model and runs its golden rows. A task that is cancelled meanwhile gets
    /// CancellationError, and nothing stays.
    func open() async throws -> Opened {
        let start = Date()
        var options = SessionOptions()
        // Which variant is fastest here, and which passed its golden rows, is kept there.
        options.memory = FileManager.default.urls(for: .applicationSupportDirectory, in: .userDomainMask).first
        let session = try await Session.open(location, options)
        self.session?.close()
        self.session = session
        return Opened(
            name: session.manifest.name, engine: "\(session.variant.name) on \(session.engine)",
            agreement: session.selfCheck, kinds: session.manifest.preprocess.map(\.kind), loadMs: ms(since: start)
        )
    }

    func predict(_ item: Item) async throws -> Found {
        let start = Date()
        guard let prediction = try await opened().predict([item]).first else { return Found(lines: [], ms: 0) }
        return Found(lines: lines(of: prediction) + prediction.notes, ms: ms(since: start))
    }

    #if canImport(ImageIO)
    /// The same of a picture's file.
    func predict(picture file: Data) async throws -> Found {
        try await predict(.image(Picture(file: file)))
    }
    #endif

    /// Measures for some seconds; the file is for `edgeformer report compare`.
    func report() async throws -> URL {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("bench.json")
        try await opened().benchmark(.quick).toJson().write(to: file, atomically: true, encoding: .utf8)
        return file
    }

    /// Calls that are inside end well; later ones get InputError.
    func close() {
        session?.close()
    }

    private func opened() throws -> Session {
        guard let session else { throw InputError("the bundle isn't open yet") }
        return session
    }

    private func ms(since start: Date) -> Double {
        Date().timeIntervalSince(start) * 1000
    }
}

private func lines(of prediction: any Prediction) -> [String] {
    switch prediction {
    case let found as Classification:
        return found.scores.sorted { $0.value > $1.value }.prefix(5).map { "\($0.key) \(percent($0.value))" }
    case let found as TokenClassification:
        return found.entities.map { "\($0.text): \($0.label) \(percent($0.score))" }
    case let found as Answer: return ["\(found.text) \(percent(found.score))"]
    case let found as Regression: return ["\(found.value)"]
    case let found as Embedding: return ["a vector of \(found.embedding.count) numbers"]
    case let found as ImageTextSimilarity: return ["similarity \(found.similarity)"]
    default: return ["\(prediction)"]
    }
}

private func percent(_ share: Double) -> String {
    String(format: "%.1f %%", 100 * share)
}
