"""Manifests to try on the reader: one that is right, and what may be put in the place of its parts."""

from __future__ import annotations

import json
from typing import Any

from edgeformer_runtime.bundle.manifest import (
    FileEntry,
    Manifest,
    TaskSpec,
    TensorSpec,
    VariantEntry,
    Verification,
    one_graph,
)
from edgeformer_runtime.bundle.manifest_reader import manifest_of, read_manifest
from edgeformer_runtime.bundle.manifest_text import manifest_text
from edgeformer_runtime.errors import RuntimeBundleError
from edgeformer_runtime.preprocess.text import TextPreprocess

MANIFEST = Manifest(
    name="tiny",
    task=TaskSpec("text-classification", ("a", "b")),
    inputs=(TensorSpec("input_ids", "int64", ("batch", "sequence"), 1),),
    outputs=(TensorSpec("logits", "float32", ("batch", 2)),),
    files=(FileEntry("variants/onnx/model.onnx", 3, "0" * 64), FileEntry("tokenizer.json", 1, "f" * 64)),
    variants=(
        VariantEntry("onnx", "onnx", "onnxruntime", one_graph("variants/onnx/model.onnx"), 3,
                     {"sequence": (8, 16)}, 1, {"int8": 2}, ("onnxruntime",), "1.19",
                     ("raspberry-pi-5",), {"opset": 20},
                     Verification("onnxruntime 1.31.1", True, 5, 0.99, 0.999, 0.1, 1.0, "accuracy", 0.8, 0.01)),
    ),
    preprocess=(TextPreprocess("tokenizer.json", 16, 0),),
    recipe={"anything": [1, {"deep": None}]},
    producer="edgeformer 0.1.0",
)  # fmt: skip
TEXT = manifest_text(MANIFEST)
# The same with what may be left out left out: it is read three times as fast.
SMALL = {
    "format_version": 2,
    "name": "tiny",
    "task": {"kind": "tensors"},
    "signature": {
        "inputs": [{"name": "x", "dtype": "int64", "shape": ["batch", 2]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": ["batch"]}],
    },
    "files": [{"path": "a/m.onnx", "bytes": 3, "sha256": "0" * 64}],
    "variants": [
        {
            "name": "v",
            "format": "onnx",
            "engine": "onnxruntime",
            "graphs": {"main": {"path": "a/m.onnx"}},
            "size_bytes": 3,
        }
    ],
}


def data() -> Any:
    """The right manifest as JSON data, without its checksum, so that a change gets to the checks behind it."""
    value = json.loads(TEXT)
    del value["checksum"]
    return value


def places(item: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every part of JSON data but the whole."""
    children = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    found = [path] if path else []
    for key, child in children:
        found += places(child, (*path, key))
    return found


def put(path: tuple[Any, ...], value: Any, base: Any = None) -> Any:
    """The right manifest, or ``base``, with ``value`` at ``path``; Ellipsis takes it away."""
    changed = data() if base is None else base
    item = changed
    for key in path[:-1]:
        item = item[key]
    if value is ...:
        del item[path[-1]]
    else:
        item[path[-1]] = value
    return changed


def check(value: Any, again: bool = True) -> bool:
    """Read a manifest, of text or of JSON data: True when it is one, False when it is refused.

    Any other end is a failure of the reader. With ``again``, what was read is written and read once more.
    """
    try:
        manifest = read_manifest(value) if isinstance(value, (bytes, str)) else manifest_of(value)
    except RuntimeBundleError as error:
        if len(str(error)) > 4000:
            raise AssertionError(f"a message of {len(str(error))} characters") from error
        return False
    if again and not manifest.skipped and read_manifest(manifest_text(manifest)) != manifest:
        raise AssertionError("what was read isn't what is written")
    return True
