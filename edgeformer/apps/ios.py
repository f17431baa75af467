"""iOS apps: the Swift package, and Swift."""

from __future__ import annotations

import json

from edgeformer_runtime.bundle.manifest import TensorSpec

from .platform import AppEngine, Platform, Step
from .task import Row

CORE_ML = AppEngine(
    "coreml", "coreml", library=None, version=None, size_bytes=0, size_source="it comes with iOS and adds nothing"
)
# What a function takes, and the item that it becomes.
_ITEMS = {
    "text": ("_ text: String", ".text(text)"),
    "pair": ("_ first: String, _ second: String", ".text(first, second: second)"),
    "question": ("_ question: String, _ text: String", ".text(question, second: text)"),
    "image": ("_ picture: Picture", ".image(picture)"),
    "image_text": ("_ picture: Picture, _ text: String", ".imageText(picture, text)"),
    "audio": ("_ wav: Data", ".audio(Sound(wav: wav))"),
}
_PICTURES = "// Picture(file: data) decodes JPEG, PNG and HEIC, upright."


def _steps(engine: AppEngine) -> tuple[Step, ...]:
    return (
        Step(
            "Xcode: File, Add Package Dependencies, Add Local",
            "runtime/ios of edgeformer's repository; add its library EdgeformerRuntime to the app's target",
        ),
        Step(
            "Xcode: the app's project",
            "the bundle's folder, called bundle, with the app as its target. Xcode has to copy it as it is:\n"
            "select it and switch Build Folder Contents off in the File Inspector (Xcode 16 and newer),\n"
            "or choose Create folder references when you add it (before)",
        ),
    )


def _code(row: Row, engine: AppEngine) -> str:
    lines = [
        "import EdgeformerRuntime",
        "import Foundation",
        "",
        "/// Takes seconds at the first start, and works off the main thread.",
        "func openModel() async throws -> Session {",
        "    var options = SessionOptions()",
        "    // where checks that passed are kept",
        "    options.memory = FileManager.default.urls(for: .applicationSupportDirectory, in: .userDomainMask).first",
        '    return try await Session.open(Bundle.main.resourceURL!.appendingPathComponent("bundle"), options)',
        "}",
        "",
    ]
    return "\n".join([*lines, *(_tensors(row) if row.result is None else _predict(row))])


def _predict(row: Row) -> list[str]:
    takes, item = _ITEMS[row.kind]
    return [
        *([_PICTURES] if row.kind.startswith("image") else []),
        f"func predict(_ session: Session, {takes}) async throws -> {row.result} {{",
        f"    let found = try await session.predict([{item}])[0]",
        f"    return found as! {row.result} // {', '.join(row.fields)}, …",
        "}",
    ]


def _tensors(row: Row) -> list[str]:
    return [
        "func run(_ session: Session) async throws -> [String: Tensor] {",
        f"    try await session.run([{', '.join(_tensor(spec) for spec in row.inputs)}])",
        "}",
    ]


def _tensor(spec: TensorSpec) -> str:
    shape = ", ".join(str(size if isinstance(size, int) else 1) for size in spec.shape)
    name = json.dumps(spec.name, ensure_ascii=False)
    return f"{name}: Tensor(zeros: .{spec.dtype}, [{shape}])"


IOS = Platform(
    name="ios",
    title="an iOS app",
    language="Swift",
    engines=(CORE_ML,),
    kinds=("text", "image", "audio"),
    whole_bundle=True,
    gpu=None,
    steps=_steps,
    code=_code,
)
