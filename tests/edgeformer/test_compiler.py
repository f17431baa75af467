"""The whole story on a tiny real model: real exporters, real engines."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import edgeformer as ef
from edgeformer.errors import GateError, ModelError, RecipeError, SamplesError
from edgeformer_runtime import Bundle, Session

LOOSE = ["gate.min_cosine_integer_activations=0.9"]  # two logits of a random model: small norms, coarse cosine


def compile_tiny(model, output, reviews=None, recipe="int8", **options):
    chosen = ef.Recipe.load(recipe) if isinstance(recipe, str) else recipe
    for setting in LOOSE:
        chosen = chosen.with_setting(setting)
    options.setdefault("formats", ["onnx"])
    options.setdefault("sequence_lengths", [16])
    if reviews:
        options.setdefault("evaluation", reviews["evaluation"])
    return ef.compile(model, output=output, recipe=chosen, **options)


@pytest.fixture(scope="module")
def bundle(tiny_model, tiny_adapter, reviews, tmp_path_factory):
    """Three formats, merged adapter, int8."""
    output = tmp_path_factory.mktemp("bundles") / "tiny"
    return compile_tiny(tiny_model, output, reviews, adapters=[str(tiny_adapter)], formats=["onnx", "coreml", "tflite"])


def test_every_variant_was_executed_and_carries_the_same_integers(bundle):
    report = json.loads((bundle.path / "report.json").read_text())
    assert [v["format"] for v in report["variants"]] == ["onnx", "tflite", "coreml"]
    for variant in report["variants"]:
        assert variant["verification"]["samples"] == 24
        assert variant["facts"]["bit_equal_layers"] == sum(variant["weight_formats"].values()) > 0
    coreml = report["variants"][2]["verification"]
    assert not coreml["on_device"]
    assert "not run on a device" in coreml["executed_by"]


def test_the_adapter_had_an_effect(bundle, tiny_model, tmp_path):
    plain = compile_tiny(tiny_model, tmp_path / "plain")
    feeds = {"input_ids": np.array([[2, 5, 9, 13, 3]]), "attention_mask": np.ones((1, 5), np.int64)}
    outputs = []
    for path in (bundle.path, plain.path):
        with Session.open(path, variant="onnx", threads=1) as session:
            outputs.append(session.run(feeds)["logits"])
    assert np.abs(outputs[0] - outputs[1]).max() > 0.05


def test_a_session_predicts_the_labels_of_torch(bundle, tiny_model, tiny_adapter):
    from peft import PeftModel
    from tokenizers import Tokenizer
    from transformers import AutoModelForSequenceClassification

    texts = ["the film was very good", "a dull plot and a slow book", "great actor"]
    base = AutoModelForSequenceClassification.from_pretrained(tiny_model)
    model = PeftModel.from_pretrained(base, tiny_adapter).merge_and_unload().eval()
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    for variant in ("onnx", "tflite"):
        with Session.open(bundle.path, variant=variant, threads=1) as session:
            for text, found in zip(texts, session.predict(texts), strict=True):
                with torch.no_grad():
                    logits = model(torch.tensor([tokenizer.encode(text).ids])).logits[0]
                expected = torch.softmax(logits, -1)[1]
                assert found.scores["positive"] == pytest.approx(float(expected), abs=0.08)


def test_manifest_says_what_was_compressed(bundle):
    manifest = bundle.manifest
    assert manifest.task.labels == ("negative", "positive")
    assert manifest.sources["adapters"]
    assert manifest.metrics["uncompressed"]["metric_name"] == "accuracy"
    assert manifest.recipe["steps"][1]["pass"] == "quantize"


def test_a_finished_stage_is_reused(tiny_model, reviews, tmp_path):
    compile_tiny(tiny_model, tmp_path / "a", reviews)
    again = compile_tiny(tiny_model, tmp_path / "b", reviews)
    stages = json.loads((again.path / "report.json").read_text())["stages"]
    assert {s["name"]: s["resumed"] for s in stages}["export onnx"]


def test_over_the_gate_nothing_is_published(tiny_model, reviews, tmp_path):
    recipe = ef.Recipe.preset("balanced").with_setting("quantize.attention=int4-tensor")
    recipe = recipe.with_setting("gate.min_cosine_integer_activations=1.0")
    with pytest.raises(GateError, match=r"(?s)nothing was published.*smallest cosine.*what differs is the engine's"):
        ef.compile(tiny_model, output=tmp_path / "out", recipe=recipe, formats=["onnx"], sequence_lengths=[16],
                   evaluation=reviews["evaluation"])  # fmt: skip
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_metric_that_falls_is_named_with_its_points(tiny_model, tmp_path, monkeypatch):
    """Labels that are the uncompressed model's own decisions: any flip is a fall."""
    from tokenizers import Tokenizer

    from edgeformer.loading.load import load_model

    model = load_model(tiny_model).callable_module()
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    rows = []
    for seed in range(60):
        torch.manual_seed(seed)
        words = [tokenizer.id_to_token(int(i)) for i in torch.randint(4, 24, (6,))]
        ids = torch.tensor([tokenizer.encode(" ".join(words)).ids])
        rows.append({"text": " ".join(words), "label": int(model(ids, torch.ones_like(ids))[0].argmax())})
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    recipe = ef.Recipe.preset("balanced")
    for role in ("attention", "feed_forward", "embedding", "pooler", "head"):
        recipe = recipe.with_setting(f"quantize.{role}=int4-tensor")
    recipe = recipe.with_setting("gate.min_cosine_integer_activations=-1").with_setting("quantize.algorithm=rtn")
    with pytest.raises(GateError, match=r"accuracy falls by [\d.]+ points to [\d.]+ %, at most 0.00 points"):
        ef.compile(tiny_model, output=tmp_path / "out", recipe=recipe, formats=["onnx"], sequence_lengths=[16],
                   evaluation=path, max_drop=0.0)  # fmt: skip


def test_without_evaluation_numerics_alone_are_compared(tiny_model, tmp_path):
    found = compile_tiny(tiny_model, tmp_path / "out").manifest
    assert found.variants[0].verification.samples == 32
    assert found.variants[0].verification.metric is None
    assert found.metrics["uncompressed"]["reason"] == "no labelled evaluation data was given"


def test_tensorrt_says_what_ran_it(tiny_model, reviews, tmp_path):
    recipe = ef.Recipe.preset("int8").with_setting("export.tensorrt.dla_core=1")
    recipe = recipe.with_setting("export.tensorrt.workspace_bytes=9000000")
    made = compile_tiny(tiny_model, tmp_path / "out", reviews, formats=["tensorrt"], recipe=recipe)
    variant = made.manifest.variants[0]
    assert not variant.verification.on_device
    assert (variant.tensorrt.dla_core, variant.tensorrt.workspace_bytes) == (1, 9_000_000)


def test_a_longest_length_below_the_example_s(tiny_model, tmp_path):
    made = compile_tiny(tiny_model, tmp_path / "out", formats=["onnx", "tensorrt"], sequence_lengths=[4, 8])
    shapes = {name: bounds.max[1] for name, bounds in made.manifest.variants[1].tensorrt.profiles.items()}
    assert set(shapes.values()) == {8}


def test_what_is_tensorrt_s_is_refused_for_other_formats(tiny_model, tmp_path):
    recipe = ef.Recipe.preset("int8").with_setting("export.tensorrt.dla_core=0")
    with pytest.raises(ef.RecipeError, match=r"export\.tensorrt: dla_core: no file of that format.*formats"):
        compile_tiny(tiny_model, tmp_path / "out", recipe=recipe)


def test_row_scales_grow_until_calibration_rows_are_close_enough(tiny_model, reviews, tmp_path):
    recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=-1.0")
    loose = ef.compile(tiny_model, output=tmp_path / "loose", recipe=recipe, formats=["onnx"], sequence_lengths=[16],
                       calibration=reviews["calibration"])  # fmt: skip
    lines: list[str] = []
    tight_recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=1.0")
    with pytest.raises(GateError):
        ef.compile(
            tiny_model,
            output=tmp_path / "tight",
            recipe=tight_recipe,
            formats=["onnx"],
            sequence_lengths=[16],
            calibration=reviews["calibration"],
            progress=lines.append,
        )
    assert sum(line.startswith("try onnx:") for line in lines) == 3  # down, feed_forward, all
    assert loose.manifest.variants[0].settings["row_scales"] == "down"
    tried = json.loads((loose.path / "report.json").read_text())["variants"][0]["facts"]["tried_on_calibration_rows"]
    assert len(tried) == 1


def test_shared_rows_are_refused(tiny_model, reviews, tmp_path):
    with pytest.raises(SamplesError, match=r"24 rows of .* are also in"):
        compile_tiny(tiny_model, tmp_path / "out", reviews, calibration=reviews["evaluation"])


def test_an_output_that_is_no_bundle_is_refused_before_any_work(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ef.InputError, match="something other than a bundle"):
        ef.compile("no-such-model", output=tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_old_bundle_survives_a_failed_compile(tiny_model, reviews, tmp_path):
    output = tmp_path / "out"
    first = compile_tiny(tiny_model, output, reviews)
    digest = first.digest
    with pytest.raises(RecipeError):
        compile_tiny(tiny_model, output, reviews, sequence_lengths=[9999])
    assert Bundle.open(output).digest == digest


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda d: (d / "model.safetensors").unlink(), ModelError, "no model.safetensors"),
        (lambda d: _truncate(d / "model.safetensors"), ModelError, "damaged or truncated"),
        (lambda d: (d / "config.json").write_text("{"), ModelError, "not valid JSON"),
        (lambda d: (d / "config.json").unlink(), ModelError, r"no config\.json there"),
        (lambda d: (d / "tokenizer.json").write_text("[1"), ModelError, "not valid JSON"),
        (
            lambda d: (d / "config.json").write_text('{"model_type": "nonsense"}'),
            ModelError,
            "'nonsense' is unknown to transformers",
        ),
        (lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"), ModelError, "--allow-pickle"),
    ],
)
def test_damaged_models(tiny_model, tmp_path, change, error, message):
    copy = tmp_path / "model"
    shutil.copytree(tiny_model, copy)
    change(copy)
    with pytest.raises(error, match=message):
        compile_tiny(copy, tmp_path / "out")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_a_pickle_is_read_when_allowed(tiny_model, tmp_path):
    from safetensors.torch import load_file

    copy = tmp_path / "model"
    shutil.copytree(tiny_model, copy)
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    compile_tiny(copy, tmp_path / "out", options=ef.InputOptions(allow_pickle=True))


def test_a_head_without_weights_is_refused(tiny_model, tmp_path):
    from transformers import AutoModel

    copy = tmp_path / "encoder"
    AutoModel.from_pretrained(tiny_model).save_pretrained(copy)
    shutil.copy(tiny_model / "tokenizer.json", copy)
    with pytest.raises(ModelError, match=r"would be random.*classifier.*--adapter"):
        compile_tiny(copy, tmp_path / "out", options=ef.InputOptions(task="text-classification"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": ["raspbery-pi-5"]}, "raspberry-pi-5"),
        ({"formats": ["onxx"]}, "onnx, tensorrt, tflite, coreml"),
        ({"sequence_lengths": [4096]}, "position embeddings for 64"),
        ({"adapters": ["nowhere"]}, "adapter_config.json"),
    ],
)
def test_wrong_calls(tiny_model, tmp_path, options, message):
    with pytest.raises(ef.InputError, match=message):
        compile_tiny(tiny_model, tmp_path / "out", **options)


def test_any_module_compiles(tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(12, 32), torch.nn.GELU(), torch.nn.Linear(32, 3))
    model = ef.from_module(network, {"features": torch.randn(2, 12)}, name="mlp", output_names=["scores"])
    made = compile_tiny(model, tmp_path / "mlp", formats=["onnx", "tflite", "coreml"])
    x = np.random.default_rng(1).standard_normal((5, 12)).astype(np.float32)
    expected = network(torch.from_numpy(x)).detach().numpy()
    for variant in ("onnx", "tflite"):
        with Session.open(made.path, variant=variant, threads=1) as session:
            np.testing.assert_allclose(session.run({"features": x})["scores"], expected, atol=0.05)
