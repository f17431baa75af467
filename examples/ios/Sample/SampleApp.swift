import EdgeformerRuntime
import PhotosUI
import SwiftUI

@main
struct SampleApp: App {
    var body: some Scene {
        WindowGroup { SampleView() }
    }
}

/// A text or a picture in; label, time and agreement with the golden rows out; a report to share.
struct SampleView: View {
    @State private var opened: Sample.Opened?
    @State private var text = ""
    @State private var photo: PhotosPickerItem?
    @State private var result: [String] = []
    @State private var report: URL?
    @State private var isBusy = false
    @State private var sample = Sample(bundle: Bundle.main.resourceURL!.appendingPathComponent("bundle"))

    var body: some View {
        Form {
            Section("Bundle") {
                if let opened {
                    Text(opened.name)
                    Text(opened.engine)
                    Text(opened.agreement)
                    Text(String(format: "opened in %.0f ms", opened.loadMs))
                } else {
                    Text("Opening the bundle …")
                }
            }
            Section("Try it") {
                TextField("A text", text: $text)
                Button("Classify the text") { start { try await shown(sample.predict(.text(text))) } }
                    .disabled(isBusy || !takes("text") || text.isEmpty)
                PhotosPicker("Pick a picture", selection: $photo, matching: .images)
                    .disabled(isBusy || !takes("image"))
            }
            Section("Result") {
                ForEach(result, id: \.self) { line in Text(line) }
            }
            Section("Measure") {
                Button("Measure for some seconds") { start { try await measured() } }
                    .disabled(isBusy || opened == nil)
                if let report { ShareLink(item: report) }
            }
        }
        .task { await act { try await open() } } // cancelled where the view goes meanwhile
        .onChange(of: photo) { picked in
            if let picked { start { try await classified(picked) } }
        }
    }

    private func takes(_ kind: String) -> Bool {
        opened?.kinds == [kind]
    }

    private func open() async throws -> [String] {
        opened = try await sample.open()
        return []
    }

    private func classified(_ picked: PhotosPickerItem) async throws -> [String] {
        guard let file = try await picked.loadTransferable(type: Data.self) else { return ["It can't be read"] }
        return try await shown(sample.predict(picture: file))
    }

    private func shown(_ found: Sample.Found) -> [String] {
        found.lines + [String(format: "%.1f ms", found.ms)]
    }

    private func measured() async throws -> [String] {
        report = try await sample.report()
        return ["Measured: share the report, and give it to edgeformer report compare"]
    }

    private func start(_ work: @escaping @MainActor () async throws -> [String]) {
        Task { await act(work) }
    }

    /// Show what `work` says, or why it failed.
    @MainActor
    private func act(_ work: @MainActor () async throws -> [String]) async {
        isBusy = true
        do {
            result = try await work()
        } catch {
            result = [error.localizedDescription]
        }
        isBusy = false
    }
}
