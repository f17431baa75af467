"""Models of two towers, from a directory to a device: labels and scores as transformers' own pipeline gives them."""

import csv
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import transformers

import edgeformer as ef
from edgeformer.compiler import InputOptions
from edgeformer.errors import ModelError, SamplesError
from edgeformer.loading.load import load_model
from edgeformer.passes.base import PassContext, PipelineResult, run_passes
from edgeformer.profiling import sensitivity
from edgeformer.recipe import Gate, Recipe
from edgeformer.rows.samples import read_samples
from edgeformer.variants.bundle_verification import verify_variants_of
from edgeformer.variants.export import Exported
from edgeformer.variants.refusal import refusal
from edgeformer.variants.search import Attempt, Candidate, closest
from edgeformer_runtime import Bundle, Session
from edgeformer_runtime.bundle.manifest import TaskSpec, VariantEntry, one_graph
from edgeformer_runtime.bundle.manifest_text import manifest_text
from edgeformer_runtime.bundle.writer import hash_files
from edgeformer_runtime.cli import main as device
from edgeformer_runtime.tasks.similarity import similarity

sys.path.insert(0, str(Path(__file__).parents[1]))
from towers import COLOURS, POSITIONS, TEMPLATE, folders, picture, save

LABELS = tuple(COLOURS)
INT8 = '[[steps]]\npass = "quantize"\nfeed_forward = "int8"\n[gate]\nmin_cosine_integer_activations = 0.9\n'
EVERYTHING = """
[[steps]]
pass = "prune_structured"
heads = 0.25
channels = 0.25
round_to = 4
[[steps]]
pass = "recover"
epochs = 1
[[steps]]
pass = "smooth"
[[steps]]
pass = "quantize"
algorithm = "gptq"
feed_forward = "int4"
attention = "int8"
[gate]
min_cosine_integer_activations = 0.9
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    root = tmp_path_factory.mktemp("colours")
    folders(root / "calibration", 14, 0)
    folders(root / "evaluation", 12, 1000)
    for name, count, seed in (("captions", 14, 0), ("judged", 10, 2000)):
        with (root / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image", "caption"])
            (root / name).mkdir()
            for index in range(count * len(LABELS)):
                label = LABELS[index % len(LABELS)]
                picture(label, seed + index).save(root / name / f"{index}.png")
                table.writerow([f"{name}/{index}.png", TEMPLATE.replace("{}", label)])
    return root


@pytest.fixture(scope="module", params=[pytest.param("clip", marks=pytest.mark.slow), "siglip"])
def family(request, tmp_path_factory):
    return request.param, save(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save("clip", tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def zero_shot(clip, rows, tmp_path_factory):
    output = tmp_path_factory.mktemp("zero-shot") / "bundle"
    return ef.compile(
        clip, output=output, recipe=Recipe.from_toml(INT8), formats=("onnx", "tflite"),
        calibration=rows / "calibration", evaluation=rows / "evaluation", max_drop=0.3,
        options=InputOptions(labels=LABELS, hypothesis_template=TEMPLATE),
    )  # fmt: skip


def _pipeline(path):
    """transformers' own, with the image processor that needs no torchvision."""
    return transformers.pipeline(
        "zero-shot-image-classification", model=str(path), tokenizer=str(path),
        image_processor=transformers.AutoImageProcessor.from_pretrained(path, use_fast=False),
    )  # fmt: skip


def test_the_model_is_what_transformers_says(family):
    """Vectors of both towers, the scale and the bias, by the torch model that the compiler starts from."""
    name, path = family
    model = load_model(path, labels=LABELS, hypothesis_template=TEMPLATE)
    assert model.task.name == "zero-shot-image-classification"
    assert model.task.activation == ("sigmoid" if name == "siglip" else "softmax")
    assert [spec.role for spec in model.inputs] == ["pixels", "tokens"]
    assert {part.graph: [spec.name for spec in part.inputs] for part in model.parts()} == {
        "image": ["pixel_values"], "text": ["input_ids"],
    }  # fmt: skip
    image, text = (part.module for part in model.parts())
    assert not [key for key in image.state_dict() if "text" in key]
    assert not [key for key in text.state_dict() if "vis" in key]


def test_what_fills_up_texts_is_never_guessed(family, tmp_path):
    """SigLIP attends to it; CLIP's text tower never sees it."""
    name, path = family
    directory = shutil.copytree(path, tmp_path / "model")
    settings = json.loads((directory / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    if name == "clip":
        assert load_model(directory).signature.pad_token_id == 0
        return
    with pytest.raises(ModelError, match=r"filled up to 16 tokens.*names no token for that"):
        load_model(directory)


@pytest.mark.parametrize("variant", ["onnx", "tflite"])
def test_a_device_names_what_pictures_show(zero_shot, clip, variant):
    own = _pipeline(clip)
    pictures = [picture(label, 5000 + index) for index, label in enumerate(LABELS)]
    with Session.open(zero_shot.path, variant=variant) as session:
        assert session.reads == "image"
        found = session.predict(pictures)
        others = session.predict(pictures, labels=["blue", "green"])
    for shown, result, other in zip(pictures, found, others, strict=True):
        wanted = {
            item["label"]: item["score"]
            for item in own(shown, candidate_labels=list(LABELS), hypothesis_template=TEMPLATE)
        }
        assert result.label == max(wanted, key=lambda label: wanted[label])
        assert list(result.scores) == list(LABELS)
        assert result.scores == pytest.approx(wanted, abs=0.05)  # int8
        assert list(other.scores) == ["blue", "green"]
    assert [item.label for item in found] == list(LABELS)


def test_label_vectors_are_those_of_the_labels_texts(zero_shot):
    """Stored ones are the compressed torch model's; running the texts here gives nearly the same."""
    stored = np.frombuffer(zero_shot.read(zero_shot.manifest.task.label_vectors), "<f4").reshape(len(LABELS), -1)
    with Session.open(zero_shot.path, variant="tflite") as session:
        texts = [TEMPLATE.replace("{}", label) for label in LABELS]
        made = [item.embedding for item in session.embed(texts, "text")]
        (shown,) = session.embed([picture("red", 7)], "image")
    assert all(similarity(a, b) > 0.99 for a, b in zip(stored, made, strict=True))
    assert np.argmax(stored @ shown.embedding) == 0


def test_the_manifest_says_both_graphs(zero_shot):
    manifest = zero_shot.manifest
    assert [item.kind for item in manifest.preprocess] == ["image", "text"]
    for entry in manifest.variants:
        assert {name: [spec.name for spec in graph.inputs] for name, graph in entry.graphs.items()} == {
            "image": ["pixel_values"], "text": ["input_ids"],
        }  # fmt: skip
        assert entry.verification.metric_name == "accuracy"
        assert entry.verification.metric >= 0.9
    assert manifest.variant("tflite").lengths == {"sequence": (POSITIONS,)}  # the usual 32 and 128 don't fit


def test_verify_and_inspect_know_it(zero_shot, rows, capsys):
    from edgeformer.cli import main

    table = verify_variants_of(zero_shot, rows / "evaluation", lambda line: None)
    assert all(row["reason"] is None and row["metric"] >= 0.9 for row in table["variants"])
    assert main(["inspect", str(zero_shot.path)]) == 0
    said = capsys.readouterr().out
    assert "takes pictures as RGB" in said
    assert "texts of up to 16 tokens" in said


def test_variants_are_judged_by_the_label_vectors_that_devices_use(zero_shot, rows, tmp_path):
    """Other vectors in the file: devices would be wrong, and verify says so."""
    path = tmp_path / "turned"
    shutil.copytree(zero_shot.path, path)
    file = path / zero_shot.manifest.task.label_vectors
    vectors = np.frombuffer(file.read_bytes(), "<f4").reshape(len(LABELS), -1)
    file.write_bytes(np.roll(vectors, 1, axis=0).tobytes())
    (path / "manifest.json").write_text(manifest_text(replace(zero_shot.manifest, files=hash_files(path))), "utf-8")
    with Bundle.open(path) as bundle:
        table = verify_variants_of(bundle, rows / "evaluation", lambda line: None)
    assert all(row["metric"] <= 0.1 for row in table["variants"])
    known = verify_variants_of(zero_shot, rows / "evaluation", lambda line: None)
    assert all(row["metric"] == row["metric_at_compile"] for row in known["variants"])


def test_the_command_line_on_a_device(zero_shot, tmp_path, capsys):
    file = tmp_path / "green.png"
    picture("green", 1).save(file)
    where = str(zero_shot.path)
    assert device(["predict", where, "--image", str(file), "--variant", "onnx"]) == 0
    assert capsys.readouterr().out.startswith("green ")
    assert device(["predict", where, "--image", str(file), "--labels", "red, blue", "--variant", "onnx", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert list(result["scores"]) == ["red", "blue"]
    for arguments, said in (
        (["--image", str(file), "a text"], "takes pictures, not pictures with texts"),
        (["a text"], "takes pictures, not texts"),
        (["--image", str(file), "--labels", "red"], "expected at least two, each once"),
        (["--image", str(file), "--labels", "red,"], "none of them empty"),
        (["--image", str(file), "--labels", "red,red"], "expected at least two, each once"),
    ):
        assert device(["predict", where, *arguments]) == 2
        assert said in capsys.readouterr().err
    assert device(["bench", where, "--quick", "--variant", "onnx"]) == 0


def test_pictures_with_texts(family, rows, tmp_path):
    """image-text-similarity: pairs, and vectors of either, comparable; calibrated and judged on a table of captions."""
    name, path = family
    bundle = ef.compile(
        path, output=tmp_path / "bundle", recipe=Recipe.from_toml(INT8), formats=("onnx",),
        calibration=rows / "captions.csv", evaluation=rows / "judged.csv",
    )  # fmt: skip
    (entry,) = bundle.manifest.variants
    assert bundle.manifest.task.name == "image-text-similarity"
    assert entry.verification.metric_name == "recall_at_1"
    assert entry.verification.metric >= 0.9
    model = transformers.AutoModel.from_pretrained(path).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    processor = transformers.AutoImageProcessor.from_pretrained(path, use_fast=False)
    texts = [TEMPLATE.replace("{}", label) for label in LABELS]
    filled = {"padding": "max_length", "max_length": POSITIONS} if name == "siglip" else {"padding": True}
    shown = [picture(label, 9000) for label in LABELS]
    model.requires_grad_(False)
    wanted = model(
        pixel_values=processor(shown, return_tensors="pt")["pixel_values"],
        input_ids=tokenizer(texts, return_tensors="pt", **filled)["input_ids"],
    )
    with Session.open(bundle.path) as session:
        assert session.reads == "image and text"
        pairs = session.predict(list(zip(shown, texts, strict=True)))
        for kind, items, own in (("image", shown, wanted.image_embeds), ("text", texts, wanted.text_embeds)):
            for vector, expected in zip(session.embed(items, kind), own.numpy(), strict=True):
                assert similarity(vector.embedding, expected) > 0.98
        with pytest.raises(ef.InputError, match=r"\(picture, text\)"):
            session.predict([shown[0]])
        with pytest.raises(ef.InputError, match="labels"):
            session.predict([(shown[0], texts[0])], labels=["a", "b"])
    logits = wanted.logits_per_image.numpy().diagonal()
    for index, pair in enumerate(pairs):
        if name == "siglip":
            assert pair.score == pytest.approx(1 / (1 + np.exp(-logits[index])), abs=0.05)
        else:
            assert pair.score is None
            assert pair.similarity == pytest.approx(logits[index] / float(model.logit_scale.exp()), abs=0.05)


def test_layers_of_both_towers_are_profiled(family, rows):
    """By gradients behind each block, which start anew in each tower, nearly what whole runs say."""
    asked = {"calibration": rows / "captions.csv", "formats": ("int4-block32",), "algorithm": "rtn", "max_rows": 24}
    fast, exact = (sensitivity(family[1], exact=whole, resume=False, **asked) for whole in (False, True))
    assert {layer.path.split("_")[0] for layer in fast.layers} >= {"text", "vision"}
    for one, other in zip(fast.layers, exact.layers, strict=True):
        found, right = one.formats["int4-block32"].damage, other.formats["int4-block32"].damage
        assert (found is None) == (right is None)
        if right:
            assert found == pytest.approx(right, rel=0.5), one.path


FORMATS = {"clip": ("onnx", "coreml"), "siglip": ("tflite", "tensorrt")}


@pytest.mark.parametrize(
    ("family", "formats"),
    [
        pytest.param(name, formats, marks=pytest.mark.slow if FORMATS[name] == formats else pytest.mark.exhaustive)
        for name in FORMATS
        for formats in FORMATS.values()
    ],
    indirect=["family"],
)
def test_every_pass_works_on_two_towers(family, formats, rows, tmp_path):
    _, path = family
    bundle = ef.compile(
        path, output=tmp_path / "bundle", recipe=Recipe.from_toml(EVERYTHING),
        formats=formats, calibration=rows / "calibration",
        evaluation=rows / "evaluation", max_drop=0.2, options=InputOptions(labels=LABELS, hypothesis_template=TEMPLATE),
    )  # fmt: skip
    for entry in bundle.manifest.variants:
        assert set(entry.weight_formats) == {"int4", "int8"} or entry.format == "tensorrt"
        assert entry.verification.metric >= 0.8


@pytest.mark.slow
def test_a_budget_is_met_by_two_towers(clip, rows, tmp_path):
    bundle = ef.compile(
        clip, output=tmp_path / "bundle", recipe="auto", formats=("onnx",), max_size_bytes=160_000, max_drop=0.2,
        calibration=rows / "calibration", evaluation=rows / "evaluation",
        options=InputOptions(labels=LABELS, hypothesis_template=TEMPLATE),
    )  # fmt: skip
    assert bundle.manifest.variants[0].size_bytes <= 160_000


def test_a_vocabulary_is_not_trimmed_and_nobody_is_told_to(clip):
    model = load_model(clip)
    progress = []
    with pytest.raises(ModelError, match=r"pass trim_vocabulary: .*2 graphs \(image, text\).*--recipe small"):
        run_passes(model, Recipe.preset("tiny").steps, PassContext(progress=progress.append))
    assert progress == []  # nothing was pruned or trained before
    gate = Gate(max_size_bytes=1_000_000)
    hopeless = Attempt(Candidate("one", Recipe(gate=gate), integer_bytes=2_000_000), problems=("too large",))
    told = str(closest([hopeless], model))
    assert "(prune_structured with recover)." in told
    assert "trim_vocabulary" not in told
    entry = VariantEntry("onnx", "onnx", "an engine", one_graph("variants/onnx/model.onnx"), 2_000_000)
    made = replace(
        hopeless,
        pipeline=PipelineResult(model, model, ()),
        variants=(Exported(Path(), entry, {}, None),),
    )
    assert "(--recipe small)" in str(refusal(made, None, judged=False))


def test_labels_that_can_not_be_told_apart_are_refused_before_any_work(clip, tmp_path):
    for labels, said in (
        (("red", "red " + "fox " * 40), "longer than the model reads"),
        (("Red", "red"), "one vector"),
    ):
        seen = []
        with pytest.raises(ModelError, match=said):
            ef.compile(clip, output=tmp_path / "bundle", options=InputOptions(labels=labels), progress=seen.append)
        assert not [line for line in seen if "export" in line or "quantize" in line]


def test_what_is_missing_is_said(clip, rows, tmp_path):
    with pytest.raises(ModelError, match="at least two labels"):
        load_model(clip, task="zero-shot-image-classification")
    with pytest.raises(ModelError, match="where the label goes"):
        load_model(clip, labels=LABELS, hypothesis_template="a picture")
    with pytest.raises(ModelError, match="'red', 'red', 'blue': expected each once"):
        load_model(clip, labels=["red", "red", "blue"])
    with pytest.raises(ModelError, match="none empty"):
        load_model(clip, labels=["red", " "])
    with pytest.raises(ModelError, match="leave --labels out, or take --task zero-shot-image-classification"):
        load_model(clip, task="image-text-similarity", labels=LABELS, hypothesis_template=TEMPLATE)
    with pytest.raises(ModelError, match=r"Leave --hypothesis-template out, or name labels \(--labels"):
        load_model(clip, hypothesis_template=TEMPLATE)
    other, blocks = tmp_path / "other", {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = transformers.ChineseCLIPConfig(
        text_config={**blocks, "vocab_size": 99}, vision_config={**blocks, "image_size": 32, "patch_size": 8}
    )
    transformers.ChineseCLIPModel(config).save_pretrained(other)
    with pytest.raises(ModelError, match="'chinese_clip' has towers that nobody described: expected clip, siglip"):
        load_model(other)
    with pytest.raises(ModelError, match=": pair: only models of texts alone have that"):
        load_model(clip, labels=LABELS, pair=True)
    table = tmp_path / "rows.csv"
    table.write_text("image\nx.png\n")
    with pytest.raises(SamplesError, match="caption"):
        read_samples(table, TaskSpec("image-text-similarity"), evaluation=False)
    few = folders(tmp_path / "few", 1, 0)
    for file in list(few.glob("*/0.png"))[1:]:
        file.unlink()
    with pytest.raises(SamplesError, match="at least 3"):
        read_samples(few, TaskSpec("zero-shot-image-classification", LABELS), evaluation=True)
