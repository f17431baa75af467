"""What the gate refuses, and what a refused recipe is told."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import edgeformer as ef
from edgeformer.errors import GateError, InputError
from edgeformer.loading.load import load_model
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.recipe import Gate
from edgeformer.variants.export import Exported
from edgeformer.variants.gate import check_drop_can_be_seen, differs, falls, floor_that_allows, problems, too_large
from edgeformer.variants.refusal import refusal
from edgeformer.variants.search import Attempt, Candidate
from edgeformer.variants.verification import LayerLoss
from edgeformer_runtime.bundle.manifest import VariantEntry, Verification, one_graph


def entry(format="onnx", size=1_000_000, low=0.999, lowest=0.99, drop=None):
    check = Verification(
        "an engine", True, 100, lowest, 0.9999, 0.1, metric_name="accuracy", metric=0.9, metric_drop=drop,
        similarity_min=lowest, similarity_p01=low,
    )  # fmt: skip
    return VariantEntry(format, format, "an engine", one_graph(f"variants/{format}/model"), size, verification=check)


def test_nothing_wrong():
    assert problems(entry(drop=0.0), Gate(max_drop=0.0, max_size_bytes=1_000_000)) == []


@pytest.mark.parametrize(
    ("variant", "gate", "check", "expected"),
    [
        (entry(low=0.99), Gate(), differs, "differs from the compressed torch model: 99 %"),
        (entry(lowest=0.9), Gate(), differs, r"smallest cosine is 0.90000 \(asked for: 0.95\)"),
        (entry("coreml", low=0.9985), Gate(), differs, "asked for: 0.999"),
        (entry(drop=0.02), Gate(max_drop=0.01), falls, "accuracy falls by 2.00 points to 90.00 %, at most 1.00"),
        (entry(), Gate(max_drop=0.01), falls, "no metric could be computed"),
        (entry(size=2_000_000), Gate(max_size_bytes=1_500_000), too_large, "2.00 MB, at most 1.50 MB"),
    ],
)
def test_one_problem(variant, gate, check, expected):
    assert re.search(expected, check(variant, gate))
    assert problems(variant, gate) == [check(variant, gate)]


@pytest.mark.parametrize("variant", [entry(low=0.9871), entry(lowest=0.8123), entry("coreml", low=0.9985)])
def test_the_floor_that_is_named_lets_the_variant_pass_and_is_the_highest(variant):
    key, floor = floor_that_allows(variant)
    assert differs(variant, Gate(**{key: floor})) is None
    assert differs(variant, Gate(**{key: floor + 0.001})) is not None


def test_a_drop_needs_labels():
    with pytest.raises(InputError, match="--evaluation FILE"):
        check_drop_can_be_seen(Gate(max_drop=0.01), None)


@pytest.fixture(scope="module")
def own_decisions(tiny_model, tmp_path_factory):
    """Rows whose labels are the uncompressed model's decisions: any flip is a fall."""
    from tokenizers import Tokenizer

    model = load_model(tiny_model).callable_module()
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    rows = []
    for seed in range(60):
        ids = torch.randint(4, 24, (6,), generator=torch.Generator().manual_seed(seed))
        text = " ".join(tokenizer.id_to_token(int(i)) for i in ids)
        encoded = torch.tensor([tokenizer.encode(text).ids])
        rows.append({"text": text, "label": int(model(encoded, torch.ones_like(encoded))[0].argmax())})
    path = tmp_path_factory.mktemp("rows") / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def refused(model, tmp_path, *settings, formats=("onnx",), preset="balanced", **more):
    recipe = ef.Recipe.preset(preset)
    for setting in settings:
        recipe = recipe.with_setting(setting)
    with pytest.raises(GateError) as found:
        ef.compile(model, output=tmp_path / "out", recipe=recipe, formats=formats, sequence_lengths=[16], **more)
    assert not (tmp_path / "out").exists()
    return str(found.value)


ANY_COSINE = "gate.min_cosine_integer_activations=-1"
ROLES = ("embedding", "attention", "feed_forward", "pooler", "head")


def test_layers_that_explain_the_fall_and_a_setting_that_fits(tiny_model, tmp_path, own_decisions):
    settings = [f"quantize.{role}=int4-tensor" for role in ROLES]
    said = refused(tiny_model, tmp_path, *settings, ANY_COSINE, evaluation=own_decisions, max_drop=0.0)
    total = float(re.search(r"of a loss of ([\d.]+)", said)[1])
    layers = re.findall(r"^    (\S+) \((\w+), int4-tensor\): ([\d.]+)$", said, re.MULTILINE)
    assert 1 <= len(layers) <= 5
    assert all(float(loss) >= 0.1 * total - 1e-5 for _, _, loss in layers)
    for _, role, _ in layers:
        assert f"--set quantize.{role}=int8" in said
    assert "--set quantize.ROLE" not in said


def told(model, recipe, loss, **gate):
    """What a recipe is told whose only variant lost ten points, when the layers' losses are these."""
    recipe = replace(recipe, gate=Gate(**{"max_drop": 0.01, **gate}))
    pipeline = run_passes(load_model(model), recipe.steps, PassContext())
    variant = entry(drop=0.1)
    attempt = Attempt(
        Candidate("the recipe", recipe),
        pipeline,
        variants=(Exported(Path(), variant, {}, None),),
        problems=tuple(problems(variant, recipe.gate)),
    )
    return str(refusal(attempt, loss, judged=True))


QUERY, INTERMEDIATE = "bert.encoder.layer.0.attention.self.query", "bert.encoder.layer.0.intermediate.dense"


def test_nobody_is_told_int8_in_an_int8_recipe(tiny_model):
    said = told(tiny_model, ef.Recipe.preset("int8"), LayerLoss(0.3, ((QUERY, 0.2), (INTERMEDIATE, 0.001))))
    assert f"{QUERY} (attention, int8): 0.20000" in said
    assert INTERMEDIATE not in said  # a three-hundredth explains nothing
    assert "--set quantize.attention=float32" in said
    assert "=int8" not in said


def test_a_layer_that_a_pattern_decides_is_given_bits_by_the_pattern(tiny_model):
    recipe = ef.Recipe.preset("small")
    said = told(tiny_model, recipe, LayerLoss(0.3, ((QUERY, 0.2),)))
    setting = shlex.split(re.search(r"--set (.*)\), or allow", said)[1])[0]
    (step,) = [step for step in recipe.with_setting(setting).steps if isinstance(step, ef.Quantize)]
    assert str(step.plan(load_model(tiny_model))[QUERY]) == "int8"


def test_layers_that_explain_little_are_not_listed(tiny_model):
    layers = tuple((path, 0.001) for path in (QUERY, INTERMEDIATE))
    said = told(tiny_model, ef.Recipe.preset("balanced"), LayerLoss(0.3, layers))
    assert "no single layer explains the loss of 0.30000" in said
    assert f"the one that gives most, {QUERY}, gives 0.00100" in said
    assert re.findall("--set ([^),]+)", said) == ["quantize.algorithm=gptq"]
    assert "--max-drop" in said


def test_inputs_are_advised_where_4_bits_were_chosen_without_them(tiny_model):
    advice = "4-bit integers were chosen by the weights alone: by what goes into each layer they often lose less"
    assert advice in told(tiny_model, ef.Recipe.preset("small"), None)
    assert advice not in told(tiny_model, ef.Recipe.preset("int8"), None)


def test_only_what_fits_the_problem_is_advised(tiny_model):
    said = told(tiny_model, ef.Recipe.preset("int8"), None, max_drop=0.5, max_size_bytes=10)
    assert "--max-size" in said
    assert "--max-drop" not in said
    assert "bits (--set" not in said


def test_formats_that_passed_are_named_with_the_words_that_publish_them(tiny_model, tmp_path):
    said = refused(
        tiny_model, tmp_path, "gate.min_cosine_integer_activations=1.0", formats=("onnx", "coreml"), preset="int8"
    )
    assert "passed: coreml. To publish it alone: --format coreml" in said
    assert "layers alone give" not in said
    floor = re.search(r"--evaluation FILE --max-drop 0.01\) and allow it: --set (gate\.\w+=[\d.]+)", said)[1]
    recipe = ef.Recipe.preset("int8").with_setting(floor)
    made = ef.compile(
        tiny_model, output=tmp_path / "out", recipe=recipe, formats=("onnx", "coreml"), sequence_lengths=[16]
    )
    assert {variant.format for variant in made.manifest.variants} == {"onnx", "coreml"}
