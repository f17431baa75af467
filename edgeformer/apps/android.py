"""Android apps: Gradle and Kotlin."""

from __future__ import annotations

import json

from edgeformer_runtime.bundle.manifest import TensorSpec

from .platform import AppEngine, Platform, Step
from .task import Row

_UNKNOWN = "its AAR was not at hand: Android Studio's APK Analyzer shows it"
LITERT = AppEngine(
    "litert",
    "tflite",
    library="com.google.ai.edge.litert:litert",
    version="2.1.5",  # the source: the profile pixel-8
    size_bytes=None,
    size_source=_UNKNOWN,
)
ONNX_RUNTIME = AppEngine(
    "onnxruntime",
    "onnx",
    library="com.microsoft.onnxruntime:onnxruntime-android",
    version="1.22.0",
    size_bytes=None,
    size_source=_UNKNOWN,
)
_ENGINES = {
    "litert": ("edgeformer.runtime.android.engines.LiteRtEngine", f'LiteRtEngine("{LITERT.version}")'),
    "onnxruntime": ("edgeformer.runtime.engines.OnnxRuntimeEngine", "OnnxRuntimeEngine()"),
}
_OPEN = (
    "android.content.Context",
    "edgeformer.runtime.Session",
    "edgeformer.runtime.android.openFromAssets",
    "edgeformer.runtime.android.sessionOptions",
)
_PICTURE = ("java.io.File", "edgeformer.runtime.android.image.decodePicture")
# What a function takes, the item that it becomes, and what that imports.
_ITEMS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "text": ("text: String", "Item.Text(text)", ()),
    "pair": ("first: String, second: String", "Item.Text(first, second)", ()),
    "question": ("question: String, text: String", "Item.Text(question, text)", ()),
    "image": ("photo: File", "Item.Image(decodePicture(photo))", _PICTURE),
    "image_text": ("photo: File, text: String", "Item.ImageText(decodePicture(photo), text)", _PICTURE),
    "audio": ("wav: ByteArray", "Item.Audio(Sound.ofWav(wav))", ("edgeformer.runtime.audio.Sound",)),
}


def _steps(engine: AppEngine) -> tuple[Step, ...]:
    # Model files that aren't deflated are copied faster on a device; deflating hardly makes them smaller.
    gradle = f"""android {{
    defaultConfig {{ minSdk = 24 }}
    androidResources {{ noCompress += listOf("{engine.format}", "bin") }}
}}
dependencies {{
    implementation(files("libs/edgeformer-runtime.aar"))
    implementation("{engine.library}:{engine.version}")
}}
// Kotlin 2.2 or newer, which Android's Gradle plugin 9 brings"""
    return (
        Step("app/build.gradle.kts", gradle),
        Step(
            "app/libs/edgeformer-runtime.aar",
            "in edgeformer's repository, on Linux for x86-64: make setup && tests/apps/kotlin/aar.sh\n"
            "makes build/kotlin/edgeformer-runtime.aar: copy it there",
        ),
        Step(
            "app/src/main/assets/bundle/", "the bundle's files, manifest.json directly in it; report.* may be left out"
        ),
    )


def _code(row: Row, engine: AppEngine) -> str:
    place, made = _ENGINES[engine.name]
    takes, item, more = _ITEMS[row.kind] if row.result is not None else ("", "", ())
    results = ("edgeformer.runtime.DType", "edgeformer.runtime.Tensor")
    if row.result is not None:
        results = ("edgeformer.runtime.Item", f"edgeformer.runtime.tasks.{row.result}")
    return "\n".join(
        [
            *(f"import {name}" for name in sorted({*_OPEN, place, *more, *results}, key=_by_package)),
            "",
            "// Both take longer than a frame: call them in a thread of your own, as SessionLoader does.",
            "fun openModel(context: Context): Session =",
            f'    openFromAssets(context, "bundle", sessionOptions(context, listOf({made})))',
            "",
            *(_tensors(row) if row.result is None else _predict(row, takes, item)),
        ]
    )


def _predict(row: Row, takes: str, item: str) -> list[str]:
    return [
        f"fun predict(session: Session, {takes}): {row.result} =",
        f"    session.predict(listOf({item})).single() as {row.result} // {', '.join(row.fields)}, …",
    ]


def _tensors(row: Row) -> list[str]:
    return [
        "fun run(session: Session): Map<String, Tensor> = session.run(",
        f"    mapOf({', '.join(_tensor(spec) for spec in row.inputs)}),",
        ")",
    ]


def _tensor(spec: TensorSpec) -> str:
    shape = ", ".join(str(size if isinstance(size, int) else 1) for size in spec.shape)
    name = json.dumps(spec.name).replace("$", "\\$")
    return f"{name} to Tensor.zeros(DType.{spec.dtype.upper()}, listOf({shape}))"


def _by_package(name: str) -> tuple[bool, str]:
    """Android Studio's order: java last."""
    return name.startswith("java."), name


ANDROID = Platform(
    name="android",
    title="an Android app",
    language="Kotlin",
    engines=(LITERT, ONNX_RUNTIME),
    kinds=("text", "image", "audio"),
    gpu=f'LiteRtEngine("{LITERT.version}", Accelerator.GPU), of com.google.ai.edge.litert',
    steps=_steps,
    code=_code,
    whole_bundle=True,
)
