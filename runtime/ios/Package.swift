// swift-tools-version:5.9
import PackageDescription

// ONNX Runtime's C API is an engine where EDGEFORMER_ONNXRUNTIME names the folder that libonnxruntime lies in; the
// compiler must find its header (-Xcc -I…). Without it the package depends on nothing.
let folder = Context.environment["EDGEFORMER_ONNXRUNTIME"]
let header: [Target] = folder == nil ? [] : [.systemLibrary(name: "COnnxRuntime")]
let bench: [Target] = folder == nil ? [] : [
    .executableTarget(name: "Bench", dependencies: ["EdgeformerRuntime"], path: "Tests/Bench"),
]
let library: [LinkerSetting] = folder.map { [.unsafeFlags(["-L", $0, "-Xlinker", "-rpath", "-Xlinker", $0])] } ?? []

let package = Package(
    name: "EdgeformerRuntime",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "EdgeformerRuntime", targets: ["EdgeformerRuntime"])],
    targets: header + bench + [
        .target(
            name: "EdgeformerRuntime",
            dependencies: header.map { .target(name: $0.name) },
            swiftSettings: [.enableExperimentalFeature("StrictConcurrency")],
            linkerSettings: library
        ),
        .testTarget(
            name: "EdgeformerRuntimeTests",
            dependencies: ["EdgeformerRuntime"],
            swiftSettings: [.enableExperimentalFeature("StrictConcurrency")]
        ),
    ]
)
