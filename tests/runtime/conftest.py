"""Small real bundles: the models of data/ in every task, on every engine that runs here."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeformer_runtime import BundleWriter
from edgeformer_runtime.bundle.manifest import Manifest, TaskSpec, TensorSpec, VariantEntry, one_graph
from edgeformer_runtime.preprocess.text import TextPreprocess

DATA = Path(__file__).parent / "data"
INPUTS = tuple(
    TensorSpec(name, "int64", ("batch", "sequence"), role=role)
    for name, role in (("input_ids", "tokens"), ("attention_mask", "mask"))
)
TASKS = {
    "classifier": (
        TaskSpec("text-classification", ("bad", "good", "other")),
        (TensorSpec("logits", "float32", ("batch", 3)),),
    ),
    "tokens": (
        TaskSpec("token-classification", ("O", "B-PER", "B-LOC")),
        (TensorSpec("logits", "float32", ("batch", "sequence", 3)),),
    ),
    "answers": (
        TaskSpec("question-answering"),
        tuple(TensorSpec(name, "float32", ("batch", "sequence")) for name in ("start_logits", "end_logits")),
    ),
}


def entry(name, model, engine="onnxruntime", **more):
    form = {"litert": "tflite", "onnxruntime": "onnx"}.get(engine, engine)
    suffix = {"tflite": "tflite", "coreml": "mlpackage"}.get(form, "onnx")
    path = f"variants/{name}/model.{suffix}"
    return VariantEntry(name, form, engine, one_graph(path), model.stat().st_size, **more)


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEFORMER_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def table():
    return np.load(str(DATA / "table.npy"))


@pytest.fixture
def make_bundle(tmp_path):
    """make_bundle(kind, variants=("onnx",)) -> path of a published bundle."""

    def make(kind="classifier", variants=("onnx",), name="bundle", task=None, model=None, **preprocess):
        made_task, outputs = TASKS[kind]
        with BundleWriter(tmp_path / name) as writer:
            entries = []
            for variant in variants:
                litert = variant.startswith("tflite")
                source = DATA / (model or (f"{kind}.tflite" if litert else f"{kind}.onnx"))
                more = {"lengths": {"sequence": (8, 16)}, "fixed_batch": 1} if litert else {}
                engine = "litert" if litert else {"coreml": "coreml", "tensorrt": "tensorrt"}.get(variant)
                made = entry(variant, source, engine or "onnxruntime", **more)
                target = writer.directory / made.path
                target.parent.mkdir(parents=True)
                shutil.copyfile(str(source), str(target))
                entries.append(made)
            (writer.directory / "preprocess").mkdir()
            shutil.copyfile(str(DATA / "tokenizer.json"), str(writer.directory / "preprocess/tokenizer.json"))
            settings = {"max_length": 12, "pad_token_id": 0, **preprocess}
            if kind == "answers":
                settings.update(pair=True, single=False, cut="second")
            writer.publish(
                Manifest(
                    name=f"tiny-{kind}",
                    task=task or made_task,
                    inputs=INPUTS,
                    outputs=outputs,
                    files=(),
                    variants=tuple(entries),
                    preprocess=(TextPreprocess("preprocess/tokenizer.json", **settings),),
                    producer="tests",
                )
            )
        return tmp_path / name

    return make
