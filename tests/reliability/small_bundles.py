"""Small real bundles for the reliability run: the models of tests/runtime/data."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeformer_runtime import BundleWriter
from edgeformer_runtime.bundle.manifest import Manifest, TaskSpec, TensorSpec, VariantEntry, one_graph
from edgeformer_runtime.preprocess.text import TextPreprocess

DATA = Path(__file__).resolve().parents[1] / "runtime" / "data"


def make_bundle(path: Path, name: str, formats: tuple[str, ...] = ("onnx", "tflite"), more_files: int = 0) -> Path:
    """A classifier of 6 kB; ``name`` is in its manifest, so that two of them differ. ``more_files`` add folders."""
    with BundleWriter(path) as writer:
        variants = []
        for form in formats:
            relative = f"variants/{form}/model.{form}"
            target = writer.directory / relative
            target.parent.mkdir(parents=True)
            shutil.copyfile(DATA / f"classifier.{form}", target)
            engine, more = ("onnxruntime", {}) if form == "onnx" else ("litert", {"lengths": {"sequence": (8, 16)}})
            if form == "tflite":
                more["fixed_batch"] = 1
            variants.append(VariantEntry(form, form, engine, one_graph(relative), target.stat().st_size, **more))
        (writer.directory / "preprocess").mkdir()
        shutil.copyfile(DATA / "tokenizer.json", writer.directory / "preprocess" / "tokenizer.json")
        for index in range(more_files):
            extra = writer.directory / "preprocess" / f"folder{index}" / "data.bin"
            extra.parent.mkdir()
            extra.write_bytes(f"{name} {index}".encode() * 100)
        roles = (("input_ids", "tokens"), ("attention_mask", "mask"))
        inputs = tuple(TensorSpec(item, "int64", ("batch", "sequence"), role=role) for item, role in roles)
        writer.publish(
            Manifest(
                name=name,
                task=TaskSpec("text-classification", ("bad", "good", "other")),
                inputs=inputs,
                outputs=(TensorSpec("logits", "float32", ("batch", 3)),),
                files=(),
                variants=tuple(variants),
                preprocess=(TextPreprocess("preprocess/tokenizer.json", 12, 0),),
                producer="tests",
            )
        )
    return path
