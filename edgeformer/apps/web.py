"""Web pages: npm packages, files to serve, and TypeScript."""

from __future__ import annotations

import json

from edgeformer_runtime.bundle.manifest import TensorSpec

from .platform import AppEngine, Platform, Step
from .task import Row

LITERT = AppEngine(
    "litert",
    "tflite",
    library="@litertjs/core",
    version="2.5.3",
    size_bytes=9_694_451,
    size_source="index.js and litert_wasm_internal, what a visitor loads of the npm package; 2.3 MB with brotli",
)
ONNX_RUNTIME = AppEngine(
    "onnxruntime",
    "onnx",
    library="onnxruntime-web",
    version="1.30.0",
    size_bytes=14_312_951,
    size_source="ort.wasm.bundle and ort-wasm-simd-threaded, what a visitor loads of the npm package; "
    "2.7 MB with brotli",
)
_FILES = {
    "litert": ("public/engines/litert/", "node_modules/@litertjs/core/wasm/*"),
    "onnxruntime": ("public/engines/onnxruntime/", "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm"),
}
_IMPORTS = {
    "litert": ('import * as litert from "@litertjs/core";', "LiteRt"),
    "onnxruntime": ('import * as ort from "onnxruntime-web/wasm";', "OnnxRuntime"),
}
_ENGINES = {
    "litert": (
        '  await litert.loadLiteRt("/engines/litert/");',
        f'  const engine = new LiteRt(litert, {{ version: "{LITERT.version}" }});',
    ),
    "onnxruntime": (
        '  ort.env.wasm.wasmPaths = { wasm: "/engines/onnxruntime/ort-wasm-simd-threaded.wasm" };',
        "  const engine = new OnnxRuntime(ort);",
    ),
}
# What a function takes, and the item of `predict` that it becomes.
_ITEMS = {
    "text": ("text: string", "text"),
    "pair": ("first: string, second: string", "[first, second]"),
    "question": ("question: string, text: string", "[question, text]"),
    "image": ("picture: Blob", "picture"),
    "image_text": ("picture: Blob, text: string", "[picture, text]"),
    "audio": ("wav: Blob", "wav"),
}


def _steps(engine: AppEngine) -> tuple[Step, ...]:
    served, source = _FILES[engine.name]
    build = "npm ci --ignore-scripts && npx tsc"
    return (
        Step("once, in runtime/web of edgeformer's repository", build),
        Step("packages", f"npm install {engine.library}@{engine.version} PATH/TO/runtime/web"),
        Step(
            "files to serve, where public/ is what your site has at /",
            f"mkdir -p {served} public/bundle/\n"
            f"cp {source} {served}\n"
            "cp -r BUNDLE/. public/bundle/    # without variants/ of other engines, if you like",
        ),
    )


def _code(row: Row, engine: AppEngine) -> str:
    module, name = _IMPORTS[engine.name]
    names = [name, "Session", "urlSource"]
    names += ["tensor", "type Tensors"] if row.result is None else [f"type {row.result}"]
    lines = [
        module,
        f'import {{ {", ".join(names)} }} from "edgeformer-web";',
        "",
        "/** Takes seconds: open it once and keep it. */",
        "export async function openModel(): Promise<Session> {",
        *_ENGINES[engine.name],
        '  return Session.open(urlSource("/bundle/"), { engines: [engine] });',
        "}",
        "",
    ]
    return "\n".join([*lines, *(_tensors(row) if row.result is None else _predict(row))])


def _predict(row: Row) -> list[str]:
    takes, item = _ITEMS[row.kind]
    return [
        f"export async function predict(session: Session, {takes}): Promise<{row.result}> {{",
        f"  const [result] = await session.predict([{item}]);",
        f"  return result as {row.result}; // {', '.join(row.fields)}, …",
        "}",
    ]


def _tensors(row: Row) -> list[str]:
    return [
        "export function run(session: Session): Promise<Tensors> {",
        "  return session.run({",
        *(f"    {json.dumps(spec.name)}: {_tensor(spec)}," for spec in row.inputs),
        "  });",
        "}",
    ]


def _tensor(spec: TensorSpec) -> str:
    shape = [size if isinstance(size, int) else 1 for size in spec.shape]
    count = 1
    for size in shape:
        count *= size
    return f'tensor("{spec.dtype}", {json.dumps(shape)}, new Array<number>({count}).fill(0))'


WEB = Platform(
    name="web",
    title="a web page",
    language="TypeScript",
    engines=(LITERT, ONNX_RUNTIME),
    kinds=("text", "image", "audio"),
    gpu=None,
    steps=_steps,
    code=_code,
    whole_bundle=False,
)
