"""Make the bundles, inputs and expected results of this folder again. Needs the extras `onnx` and `image`."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import wave
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from corruptions import write as write_corrupted
from onnx import TensorProto, helper, numpy_helper
from test_conformance import encoder_of, given

from edgeformer_runtime import BundleWriter, Session
from edgeformer_runtime.bundle.golden import DATA_NAME, GOLDEN_NAME, Golden, GoldenText, GoldenVariant
from edgeformer_runtime.bundle.manifest import BATCH, Graph, Manifest, TaskSpec, TensorSpec, VariantEntry, one_graph
from edgeformer_runtime.preprocess.audio import AudioPreprocess
from edgeformer_runtime.preprocess.image_preprocess import ImagePreprocess, ImageResize
from edgeformer_runtime.preprocess.text import TextPreprocess

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
    model: Any  # ONNX, or {graph: ONNX}, where each has one of the inputs and one of the outputs
    task: TaskSpec
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    items: list[Any]
    preprocess: tuple[Any, ...] = ()
    prompts: tuple[str | None, ...] = (None,)
    labels: tuple[tuple[str, ...] | None, ...] = (None,)  # None: the bundle's own
    arrays: list[dict[str, Any]] = field(default_factory=list)
    tflite: Path | None = None  # the same model for another engine, in two lengths


def logits(*shape: int | str) -> tuple[TensorSpec, ...]:
    return (TensorSpec("logits", "float32", shape),)


def numbers_model(
    name: str,
    shape: list[Any],
    nodes: list[Any],
    width: int,
    constants: dict[str, Any],
    dtype: int = TensorProto.FLOAT,
    output: str = "logits",
) -> Any:
    """A model of one input of ``shape``; the nodes' logits [batch, width] are its ``output``."""
    for node in nodes:
        node.output[:] = [output if made == "logits" else made for made in node.output]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, dtype, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [BATCH, width])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def picture_model(output: str = "logits") -> Any:
    """Mean of each channel."""
    nodes = [helper.make_node("ReduceMean", ["pixel_values"], ["logits"], axes=[2, 3], keepdims=0)]
    return numbers_model("pixel_values", [BATCH, 3, 8, 8], nodes, 3, {}, output=output)


def sound_model() -> Any:
    """Mean loudness, and its negative."""
    nodes = [
        helper.make_node("Abs", ["input_values"], ["loud"]),
        helper.make_node("ReduceMean", ["loud"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("MatMul", ["mean", "signs"], ["logits"]),
    ]
    return numbers_model("input_values", [BATCH, "samples"], nodes, 2, {"signs": np.array([[4, -4]], np.float32)})


def text_tower() -> Any:
    """Mean of three numbers a token, padding included."""
    table = np.random.default_rng(0).integers(-4, 5, (64, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["logits"], axes=[1], keepdims=0),
    ]
    return numbers_model("input_ids", [BATCH, 12], nodes, 3, {"table": table}, TensorProto.INT64, "text_embeds")


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
    towers = {"image": picture_model("image_embeds"), "text": text_tower()}
    both = (*pixels, TensorSpec("input_ids", "int64", (BATCH, 12), role="tokens"))
    vectors = tuple(TensorSpec(f"{kind}_embeds", "float32", (BATCH, 3)) for kind in towers)
    filled = replace(text, pad_to_max=True)
    return [
        Case("text-classification", classifier, one, TOKENS, logits(BATCH, 3), HOSTILE, (text,)),
        Case("two-engines", classifier, one, TOKENS, logits(BATCH, 3), HOSTILE, (text,),
             tflite=DATA / "classifier.tflite"),
        Case("several-labels", classifier, replace(one, multi_label=True, threshold=0.6), TOKENS, logits(BATCH, 3),
             [*HOSTILE[:2], *pairs], (replace(text, pair=True),)),
        Case("token-classification", onnx.load(DATA / "tokens.onnx"),
             TaskSpec("token-classification", ("O", "B-PER", "B-LOC")), TOKENS, logits(BATCH, "sequence", 3),
             ["Ann lives in Romes.", "mes", "\U0001f642 ann milan\u0301 rome", "", "ann " * 30],
             (replace(text, prompts={"people": "Ann: ", "joined": "Ann lives in ro"}),),
             prompts=(None, "people", "joined")),
        Case("question-answering", onnx.load(DATA / "answers.onnx"), TaskSpec("question-answering", longest_answer=3),
             TOKENS, tuple(TensorSpec(f"{end}_logits", "float32", (BATCH, "sequence")) for end in ("start", "end")),
             answers, (replace(text, pair=True, single=False, cut="second"),)),
        Case("feature-extraction", classifier, TaskSpec("feature-extraction", similarity="dot"), TOKENS, embedding,
             HOSTILE[:4], (prompted,), prompts=(None, "query", "none", "")),
        Case("image-classification", picture_model(), TaskSpec("image-classification", ("red", "green", "blue")),
             pixels, logits(BATCH, 3), ["picture.png"], (image,)),
        Case("image-text-similarity", towers, TaskSpec("image-text-similarity", activation="sigmoid", scale=3, bias=-1),
             both, vectors, [("picture.png", "good bad"), ("picture.png", "")], (image, filled)),
        Case("zero-shot-image-classification", towers,
             TaskSpec("zero-shot-image-classification", LABELS, scale=5, hypothesis_template="a {} picture",
                      label_vectors="preprocess/labels.bin"),
             both, vectors, ["picture.png"], (image, filled), labels=(None, ("good", "\U0001f642"))),
        Case("audio-classification", sound_model(), TaskSpec("audio-classification", ("loud", "quiet")), samples,
             logits(BATCH, 2), ["sound.wav"], (AudioPreprocess(16_000),)),
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
    towers = case.model if isinstance(case.model, dict) else {}
    files = {f"variants/onnx/{graph}.onnx": model.SerializeToString() for graph, model in towers.items()}
    graphs = {
        graph: Graph(path, (taken,), (given,))
        for graph, path, taken, given in zip(towers, files, case.inputs, case.outputs, strict=True)
    } if towers else one_graph("variants/onnx/model.onnx")  # fmt: skip
    if not towers:
        files = {"variants/onnx/model.onnx": case.model.SerializeToString()}
    variants = [VariantEntry("onnx", "onnx", "onnxruntime", graphs, sum(map(len, files.values())))]
    if case.tflite is not None:
        path = "variants/tflite/model.tflite"
        files[path] = case.tflite.read_bytes()
        lengths = {"sequence": (8, 16)}
        variants.append(VariantEntry("tflite", "tflite", "litert", one_graph(path), len(files[path]), lengths, 1))
    if any(isinstance(item, TextPreprocess) for item in case.preprocess):
        files[TOKENIZER] = (DATA / "tokenizer.json").read_bytes()
    if case.task.label_vectors is not None:  # not those of the labels' texts, so that a reader shows that it takes them
        files[case.task.label_vectors] = np.eye(3, dtype="<f4")[::-1].tobytes()
    if golden is not None:
        files.update(zip((GOLDEN_NAME, DATA_NAME), golden.to_files(), strict=True))
    with BundleWriter(output) as writer:
        for path, content in files.items():
            (writer.directory / path).parent.mkdir(parents=True, exist_ok=True)
            (writer.directory / path).write_bytes(content)
        writer.publish(
            Manifest(
                case.name,
                case.task,
                case.inputs,
                case.outputs,
                (),
                tuple(variants),
                case.preprocess,
                producer="conformance",
            )
        )


def results(case: Case, bundle: Path) -> tuple[list[dict[str, Any]], list[Any]]:
    """The cases of a bundle as JSON data, and beside them (feeds, outputs) as arrays."""
    found, raw = [], []
    with Session.open(bundle, "onnx", self_check="never") as session:
        for arrays in case.arrays:
            feeds = {spec.name: np.asarray(arrays[spec.name], spec.dtype) for spec in case.inputs}
            outputs = session.run(feeds)
            found.append({"arrays": arrays, "outputs": listed(outputs)})
            raw.append((feeds, outputs))
        if not case.preprocess:
            return found, raw
        encoder = encoder_of(session)
        for prompt, labels, item in product(case.prompts, case.labels, case.items):
            encoded = encoder.encode_row(encoder.rows([given(item, session.reads)])[0], prompt)
            outputs = session.run(encoded.feeds)
            (prediction,) = session.predict([given(item, session.reads)], prompt, labels)
            expected = {"item": item, "prompt": prompt, "inputs": listed(encoded.feeds)}
            if labels is not None:
                expected["labels"] = labels
            if session.reads == "text":
                expected["offsets"] = [list(pair) for pair in encoded.offsets]
            found.append({**expected, "outputs": listed(outputs), "prediction": prediction.to_dict()})
            raw.append((encoded.feeds, outputs))
    return found, raw


def listed(arrays: Any) -> dict[str, Any]:
    """Arrays as nested lists."""
    return {name: np.asarray(array).tolist() for name, array in arrays.items()}


def golden_of(case: Case, found: list[dict[str, Any]], raw: list[Any]) -> Golden:
    """The first rows of the cases; of two towers one row with the inputs of both."""
    if isinstance(case.model, dict):
        rng = np.random.default_rng(1)
        feeds = {
            "pixel_values": rng.standard_normal((1, 3, 8, 8), dtype=np.float32),
            "input_ids": rng.integers(0, 9, (1, 12)),
        }
        with tempfile.TemporaryDirectory() as temporary:
            write(case, Path(temporary) / "plain", None)
            with Session.open(Path(temporary) / "plain", self_check="never") as session:
                raw, found = [(feeds, session.run(feeds))], [{}]
    texts: list[GoldenText | None] = []
    for item in found:
        known = item.get("item")
        pair = (known, None) if isinstance(known, str) else tuple(known or ())
        is_text = isinstance(case.preprocess[0] if case.preprocess else None, TextPreprocess)
        texts.append(GoldenText(*pair, item["prompt"]) if is_text else None)
    predictions = tuple(item.get("prediction") if text else None for item, text in zip(found, texts, strict=True))
    variant = GoldenVariant(tuple(outputs for _, outputs in raw), 0.9999, "conformance", predictions)
    formats = ("onnx",) if case.tflite is None else ("onnx", "tflite")  # the same model: the same outputs
    return Golden(tuple(feeds for feeds, _ in raw), dict.fromkeys(formats, variant), tuple(texts))


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
    write_corrupted()


if __name__ == "__main__":
    sys.exit(main())
