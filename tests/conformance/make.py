"""Make the bundles, inputs and expected results of this folder again. Needs the extras `onnx` and `image`."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import wave
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeformer_runtime import BundleWriter, Session
from edgeformer_runtime.bundle.golden import DATA_NAME, GOLDEN_NAME, Golden, GoldenText, GoldenVariant
from edgeformer_runtime.bundle.manifest import BATCH, Manifest, TaskSpec, TensorSpec, VariantEntry, one_graph
from edgeformer_runtime.preprocess.audio import AudioPreprocess
from edgeformer_runtime.preprocess.image_preprocess import ImagePreprocess, ImageResize
from edgeformer_runtime.preprocess.registry import make_encoder
from edgeformer_runtime.preprocess.text import TextPreprocess
from edgeformer_runtime.tasks import get_task

HERE = Path(__file__).parent
DATA = HERE.parent / "runtime" / "data"
TOKENIZER = "preprocess/tokenizer.json"
TOKENS = tuple(
    TensorSpec(name, "int64", (BATCH, "sequence"), role=role)
    for name, role in (("input_ids", "tokens"), ("attention_mask", "mask"))
)
LABELS = ("bad", "good", "other")
HOSTILE = [
    "Good bad GOOD.",
    "",
    "  good\r\n\tbad ",
    "Zu\u0308rich good\u200bbad e\u0301 \ufb01",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 good \U0001f1e9\U0001f1ea bad",
    "\u0645\u0631\u062d\u0628\u0627 good \u6771\u4eac bad \u202egood",
    "good " * 30,
]


@dataclass(frozen=True)
class Case:
    """A bundle to be made: its model, and what it is asked."""

    name: str
    model: Any  # ONNX
    task: TaskSpec
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    items: list[Any]
    preprocess: Any = None
    prompts: tuple[str | None, ...] = (None,)
    arrays: list[dict[str, Any]] = field(default_factory=list)


def logits(*shape: int | str) -> tuple[TensorSpec, ...]:
    return (TensorSpec("logits", "float32", shape),)


def numbers_model(name: str, shape: list[Any], nodes: list[Any], width: int, constants: dict[str, Any]) -> Any:
    """A model of one float input of ``shape`` and the output logits [batch, width]."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [BATCH, width])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def picture_model() -> Any:
    """Mean of each channel."""
    nodes = [helper.make_node("ReduceMean", ["pixel_values"], ["logits"], axes=[2, 3], keepdims=0)]
    return numbers_model("pixel_values", [BATCH, 3, 8, 8], nodes, 3, {})


def sound_model() -> Any:
    """Mean loudness, and its negative."""
    nodes = [
        helper.make_node("Abs", ["input_values"], ["loud"]),
        helper.make_node("ReduceMean", ["loud"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("MatMul", ["mean", "signs"], ["logits"]),
    ]
    return numbers_model("input_values", [BATCH, "samples"], nodes, 2, {"signs": np.array([[4, -4]], np.float32)})


def tensors_model() -> Any:
    """A linear layer."""
    nodes = [helper.make_node("MatMul", ["x", "weight"], ["logits"])]
    weight = np.arange(6, dtype=np.float32).reshape(3, 2) - 2
    return numbers_model("x", [BATCH, 3], nodes, 2, {"weight": weight})


def cases() -> list[Case]:
    """Every bundle of this folder."""
    text = TextPreprocess(TOKENIZER, 12, 0)
    classifier = onnx.load(DATA / "classifier.onnx")
    pairs = [("good bad", "bad"), ("", "good"), ("good " * 20, "bad " * 20)]
    answers = [("Ann lives in", "Ann lives in Rome."), ("rome", ""), ("Ann", "\U0001f642 Ann lives in Milans. " * 4)]
    embedding = (TensorSpec("logits", "float32", (BATCH, 3)),)
    prompted = replace(text, prompts={"query": "bad: ", "none": ""}, default_prompt="query")
    pixels = (TensorSpec("pixel_values", "float32", (BATCH, 3, 8, 8), role="pixels"),)
    resize = ImageResize((10,), "shortest", "bicubic")
    image = ImagePreprocess((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), resize, (8, 8))
    samples = (TensorSpec("input_values", "float32", (BATCH, "samples"), role="samples"),)
    one = TaskSpec("text-classification", LABELS)
    return [
        Case("text-classification", classifier, one, TOKENS, logits(BATCH, 3), HOSTILE, text),
        Case("several-labels", classifier, replace(one, multi_label=True, threshold=0.6), TOKENS, logits(BATCH, 3),
             [*HOSTILE[:2], *pairs], replace(text, pair=True)),
        Case("token-classification", onnx.load(DATA / "tokens.onnx"),
             TaskSpec("token-classification", ("O", "B-PER", "B-LOC")), TOKENS, logits(BATCH, "sequence", 3),
             ["Ann lives in Romes.", "mes", "\U0001f642 ann milan\u0301 rome", "", "ann " * 30],
             replace(text, prompts={"people": "Ann: ", "joined": "Ann lives in ro"}),
             prompts=(None, "people", "joined")),
        Case("question-answering", onnx.load(DATA / "answers.onnx"), TaskSpec("question-answering", longest_answer=3),
             TOKENS, tuple(TensorSpec(f"{end}_logits", "float32", (BATCH, "sequence")) for end in ("start", "end")),
             answers, replace(text, pair=True, single=False, cut="second")),
        Case("feature-extraction", classifier, TaskSpec("feature-extraction", similarity="dot"), TOKENS, embedding,
             HOSTILE[:4], prompted, prompts=(None, "query", "none", "")),
        Case("image-classification", picture_model(), TaskSpec("image-classification", ("red", "green", "blue")),
             pixels, logits(BATCH, 3), ["picture.png"], image),
        Case("audio-classification", sound_model(), TaskSpec("audio-classification", ("loud", "quiet")), samples,
             logits(BATCH, 2), ["sound.wav"], AudioPreprocess(16_000)),
        Case("tensors", tensors_model(), TaskSpec("tensors"), (TensorSpec("x", "float32", (BATCH, 3)),),
             logits(BATCH, 2), [], arrays=[{"x": [[1, 2, 3]]}, {"x": [[0.5, -1, 0], [1, 1, 1]]}]),
    ]  # fmt: skip


def make_inputs(folder: Path) -> None:
    """A picture with transparency, of odd sides, and a stereo sound at another rate."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    rows, columns = np.mgrid[:23, :37]
    pixels = np.stack([rows * 11, columns * 6, rows * columns % 256, 255 - columns * 2], axis=-1).astype(np.uint8)
    Image.fromarray(pixels, "RGBA").save(folder / "picture.png")
    time = np.arange(400) / 8000
    sound = np.stack([np.sin(2 * np.pi * 440 * time), 0.5 * np.sin(2 * np.pi * 1000 * time)], axis=1)
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((sound * 20_000).astype("<i2").tobytes())


def write(case: Case, output: Path, golden: Golden | None) -> None:
    """The bundle of ``case``, with golden rows where there are any."""
    model = case.model.SerializeToString()
    entry = VariantEntry("onnx", "onnx", "onnxruntime", one_graph("variants/onnx/model.onnx"), len(model))
    with BundleWriter(output) as writer:
        (writer.directory / "variants/onnx").mkdir(parents=True)
        (writer.directory / "variants/onnx/model.onnx").write_bytes(model)
        if isinstance(case.preprocess, TextPreprocess):
            (writer.directory / "preprocess").mkdir()
            shutil.copyfile(DATA / "tokenizer.json", writer.directory / TOKENIZER)
        if golden is not None:
            for name, content in zip((GOLDEN_NAME, DATA_NAME), golden.to_files(), strict=True):
                (writer.directory / name).write_bytes(content)
        preprocess = () if case.preprocess is None else (case.preprocess,)
        writer.publish(
            Manifest(case.name, case.task, case.inputs, case.outputs, (), (entry,), preprocess, producer="conformance")
        )


def results(case: Case, bundle: Path) -> tuple[list[dict[str, Any]], list[Any]]:
    """The cases of a bundle as JSON data, and beside them (feeds, outputs) as arrays."""
    found, raw = [], []
    with Session.open(bundle, self_check="never") as session:
        for arrays in case.arrays:
            feeds = {spec.name: np.asarray(arrays[spec.name], spec.dtype) for spec in case.inputs}
            outputs = session.run(feeds)
            found.append({"arrays": arrays, "outputs": listed(outputs)})
            raw.append((feeds, outputs))
        if case.preprocess is None:
            return found, raw
        encoder = make_encoder(case.preprocess, session.bundle.read, case.inputs)
        task = get_task(case.task, case.outputs)
        for prompt in case.prompts:
            for item in case.items:
                given = str(HERE / "inputs" / item) if task.reads != "text" else item
                encoded = encoder.encode_row(encoder.rows([given])[0], prompt)
                outputs = session.run(encoded.feeds)
                prediction = task.predict(outputs, encoded).to_dict()
                expected = {"item": item, "prompt": prompt, "inputs": listed(encoded.feeds)}
                if task.reads == "text":
                    expected["offsets"] = [list(pair) for pair in encoded.offsets]
                found.append({**expected, "outputs": listed(outputs), "prediction": prediction})
                raw.append((encoded.feeds, outputs))
    return found, raw


def listed(arrays: Any) -> dict[str, Any]:
    """Arrays as nested lists."""
    return {name: np.asarray(array).tolist() for name, array in arrays.items()}


def golden_of(case: Case, found: list[dict[str, Any]], raw: list[Any]) -> Golden:
    """The first rows of the cases."""
    texts: list[GoldenText | None] = []
    for item in found:
        given = item.get("item")
        is_text = isinstance(case.preprocess, TextPreprocess)
        pair = (given, None) if isinstance(given, str) else tuple(given or ())
        texts.append(GoldenText(*pair, item["prompt"]) if is_text else None)
    predictions = tuple(item.get("prediction") if text else None for item, text in zip(found, texts, strict=True))
    variant = GoldenVariant(tuple(outputs for _, outputs in raw), 0.9999, "conformance", predictions)
    return Golden(tuple(feeds for feeds, _ in raw), {"onnx": variant}, tuple(texts))


CORRUPTED = [
    {"change": "set", "path": ["format_version"], "value": 1, "code": "format-version"},
    {"change": "set", "path": ["format_version"], "value": 3, "code": "format-version"},
    {"change": "set", "path": ["format_version"], "remove": True, "code": "manifest"},
    {"change": "set", "path": ["colour"], "value": "red", "code": "manifest"},
    {"change": "set", "path": ["variants"], "value": [], "code": "manifest"},
    {"change": "set", "path": ["variants", 0, "name"], "value": "auto", "code": "manifest"},
    {"change": "set", "path": ["variants", 0, "size_bytes"], "value": -1, "code": "manifest"},
    {"change": "set", "path": ["variants", 0, "graphs", "main", "path"], "value": "no.onnx", "code": "manifest"},
    {"change": "set", "path": ["signature", "inputs", 0, "dtype"], "value": "object", "code": "manifest"},
    {"change": "set", "path": ["preprocess", 0, "max_length"], "value": 0, "code": "manifest"},
    {"change": "set", "path": ["files", 0, "path"], "value": "../outside", "code": "path"},
    {"change": "set", "path": ["files", 0, "path"], "value": "/etc/passwd", "code": "path"},
    {"change": "set", "path": ["files", 0, "sha256"], "value": "0" * 64, "code": "files"},
    {"change": "flip", "file": "manifest.json", "byte": 20, "code": "checksum"},
    {"change": "flip", "file": "variants/onnx/model.onnx", "byte": 100, "code": "files"},
    {"change": "cut", "file": "variants/onnx/model.onnx", "bytes": 1, "code": "files"},
    {"change": "cut", "file": "manifest.json", "bytes": 10, "code": "json"},
    {"change": "cut", "file": "manifest.json", "bytes": 10**9, "code": "json"},
    {"change": "delete", "file": "preprocess/tokenizer.json", "code": "files"},
    {"change": "delete", "file": "manifest.json", "code": "not-a-bundle"},
    {"change": "add", "file": "variants/more.onnx", "code": "files"},
]


def main() -> None:
    """Make everything."""
    make_inputs(HERE / "inputs")
    for folder in ("bundles", "cases"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / folder).mkdir()
    for case in cases():
        with tempfile.TemporaryDirectory() as temporary:
            plain = Path(temporary) / "plain"
            write(case, plain, None)
            found, raw = results(case, plain)
        write(case, HERE / "bundles" / case.name, golden_of(case, found, raw))
        text = json.dumps({"bundle": case.name, "cases": found}, indent=None, ensure_ascii=True)
        (HERE / "cases" / f"{case.name}.json").write_text(text.replace('{"item"', '\n{"item"') + "\n", "utf-8")
    corrupted = [{"bundle": "text-classification", **item} for item in CORRUPTED]
    lines = ",\n".join(json.dumps(item) for item in corrupted)
    (HERE / "corrupted.json").write_text(f"[\n{lines}\n]\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
