"""prune_structured: changed, unchanged, refused with a reason, and its exports."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import edgeformer as ef
from edgeformer.data.splits import read_data
from edgeformer.errors import InputError, ModelError, RecipeError
from edgeformer.loading.load import load_model
from edgeformer.model.base import from_module
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.passes.prune_structured import PruneStructured
from edgeformer.passes.quantize import Quantize
from edgeformer.recipe import PASSES, Recipe
from edgeformer.stages import Stages
from edgeformer_runtime import Session

UNEQUAL = {"0": {"heads": 1, "channels": 24}, "1": {"heads": 3, "channels": 40}}


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def context(model, reviews):
    data = read_data(model, 128, reviews["calibration"], reviews["evaluation"])
    return PassContext(data=data, threads=1)


def prune(model, context, **options):
    result = run_passes(model, [PruneStructured(**options)], context)
    return result.model, result.records[0]


def counts(record):
    return [(entry["heads"], entry["channels"]) for entry in record.facts["after"]]


def run(model):
    with torch.no_grad():
        return model.callable_module()(*model.example_inputs)[0]


@pytest.mark.parametrize("importance", ["magnitude", "taylor", "wanda"])
@pytest.mark.parametrize("reconstruct", [False, True])
def test_shares_of_each_block(model, context, importance, reconstruct):
    before = model.digest()
    pruned, record = prune(
        model, context, heads=0.5, channels=0.5, allocation="per_layer", importance=importance, reconstruct=reconstruct
    )
    assert record.changed
    assert counts(record) == [(2, 32), (2, 32)]
    assert model.digest() == before
    assert run(pruned).isfinite().all()
    assert pruned.parameter_count() < model.parameter_count()
    facts = record.facts
    removed = facts["blocks_cost_before"]["parameters"] - facts["blocks_cost_after"]["parameters"]
    assert removed == model.parameter_count() - pruned.parameter_count()
    assert (facts["reconstruction"] is not None) == reconstruct
    if reconstruct:
        halves = [half for block in facts["reconstruction"] for half in block.values()]
        assert len(halves) == 4
        assert all(half["error"] <= half["error_removed"] for half in halves)


def test_global_shares_may_differ_by_block(model, context):
    _, record = prune(model, context, heads=0.5, channels=0.25, reconstruct=False)
    found = counts(record)
    assert sum(heads for heads, _ in found) == 4
    assert sum(channels for _, channels in found) == 96
    assert all(heads >= 1 and channels >= 8 and channels % 8 == 0 for heads, channels in found)


@pytest.mark.parametrize("target", ["parameters", "flops", "latency"])
@pytest.mark.parametrize("allocation", ["global", "per_layer"])
def test_amounts_are_met(model, context, target, allocation):
    _, record = prune(model, context, target=target, amount=0.4, allocation=allocation, reconstruct=False)
    before, after = record.facts["blocks_cost_before"], record.facts["blocks_cost_after"]
    if target == "latency":
        assert record.facts["latency_table"]["engine"].startswith("onnxruntime")
        assert after["parameters"] < before["parameters"]
    else:
        assert 0.4 <= 1 - after[target] / before[target] < 0.55


def test_a_concrete_plan(model, context):
    pruned, record = prune(model, context, per_block=UNEQUAL)
    assert counts(record) == [(1, 24), (3, 40)]
    assert run(pruned).isfinite().all()


def test_whole_layers_and_a_plan_by_the_given_indices(model, context):
    pruned, record = prune(model, context, layers=(0,), per_block={"1": {"channels": 16}})
    assert record.facts["after"] == [{"block": 1, "heads": 4, "channels": 16}]
    assert record.facts["layers_removed"] == [0]
    assert pruned.module.config.num_hidden_layers == 1
    assert run(pruned).isfinite().all()


def test_whole_layers_need_no_rows(model):
    _, record = prune(model, PassContext(), layers=(1,))
    assert counts(record) == [(4, 64)]


def test_nothing_asked_changes_nothing(model):
    result = PruneStructured().run(model, PassContext())
    assert not result.changed
    assert result.model is model


def test_equal_runs_are_equal_and_kept(model, context, tmp_path):
    stages = Stages(tmp_path)
    options = {"heads": 0.25, "channels": 0.5}
    first, _ = prune(model, replace(context, stages=stages), **options)
    second, _ = prune(model, replace(context, stages=stages), **options)
    fresh, _ = prune(model, context, **options)
    assert first.digest() == second.digest() == fresh.digest()
    assert [record.resumed for record in stages.records] == [False, False, True, True]


def test_channels_by_sixteen_for_tensorrt(model, context):
    from edgeformer_devices import load

    _, record = prune(
        model, replace(context, targets=(load("jetson-orin-nano"),)), channels=0.4, allocation="per_layer",
        importance="magnitude", reconstruct=False,
    )  # fmt: skip
    assert [channels for _, channels in counts(record)] == [32, 32]


def test_a_recipe_holds_every_field():
    step = PruneStructured(
        layers=(2,), importance="magnitude", allocation="per_layer", per_block=UNEQUAL, round_to=32, reconstruct=False,
        sequence_length=64,
    )  # fmt: skip
    other = PruneStructured(target="flops", amount=0.5, importance="wanda")
    recipe = Recipe(steps=(step, other, PruneStructured(heads=1 / 3, channels=0.5)))
    assert PASSES["prune_structured"] is PruneStructured
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    changed = recipe.with_setting("prune_structured.sequence_length=32")
    assert {part.sequence_length for part in changed.steps} == {32}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 1.0}, "heads = 1.0: expected a share"),
        ({"channels": -0.1}, "channels = -0.1"),
        ({"importance": "random"}, "expected one of magnitude, taylor, wanda"),
        ({"allocation": "some"}, "global, per_layer"),
        ({"amount": 0.5}, "amount goes with target"),
        ({"target": "flops", "heads": 0.5}, "target flops takes amount"),
        ({"heads": 0.5, "per_block": UNEQUAL}, "leave heads, channels and amount out"),
        ({"per_block": {"first": {"heads": 1}}}, "index of a block"),
        ({"per_block": {"0": {"heads": 0}}}, "at least 1"),
        ({"per_block": {"0": {"head": 1}}}, "expected {"),
        ({"per_block": UNEQUAL, "layers": (1,)}, "removes this block whole"),
        ({"layers": (1, 1)}, "each once"),
        ({"round_to": 0}, "round_to = 0"),
    ],
)
def test_settings_that_can_not_work(options, message):
    with pytest.raises(RecipeError, match=message):
        PruneStructured(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_block": {"0": {"heads": 5}}}, "block 0 has 4 heads, so 5"),
        ({"per_block": {"7": {"heads": 1}}}, r"per_block\.7: .* blocks 0…1"),
        ({"heads": 0.95, "allocation": "per_layer"}, r"heads = 0.95 of block 0: at most 0.75"),
        ({"target": "parameters", "amount": 0.99}, "at most 0.[89]"),
        ({"layers": (5,)}, "blocks 0…1"),
        ({"layers": (0, 1)}, "keep at least one"),
    ],
)
def test_what_the_model_does_not_have(model, context, options, message):
    with pytest.raises(RecipeError, match=message):
        prune(model, context, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "importance taylor .*--calibration"), ({"importance": "magnitude"}, "reconstruct = true .*--calibration")],
)
def test_rows_are_asked_for_where_they_are_needed(model, options, message):
    with pytest.raises(InputError, match=message):
        prune(model, PassContext(), heads=0.5, **options)
    _, record = prune(model, PassContext(), heads=0.5, importance="magnitude", reconstruct=False)
    assert sum(heads for heads, _ in counts(record)) == 4


def test_too_few_rows(model, context):
    few = replace(context, data=replace(context.data, calibration=context.data.calibration.first(3)))
    with pytest.raises(InputError, match="at least 8 calibration rows"):
        prune(model, few, heads=0.5)


def test_integers_already_there(model, context):
    quantized = Quantize().run(model, context).model
    with pytest.raises(RecipeError, match="put prune_structured before quantize"):
        prune(quantized, context, heads=0.5)


def test_nan_weights_name_the_layer(tiny_model, context):
    broken = load_model(tiny_model)
    with torch.no_grad():
        broken.module.bert.encoder.layer[1].intermediate.dense.weight[3, 3] = float("nan")
    with pytest.raises(ModelError, match=r"layer bert\.encoder\.layer\.1\.intermediate\.dense: NaN"):
        prune(broken, context, heads=0.5)


def test_a_family_without_a_description(context):
    model = from_module(torch.nn.Linear(4, 4), {"x": torch.randn(2, 4)})
    with pytest.raises(ModelError, match="Add blocks and layout to edgeformer/families"):
        prune(model, context, heads=0.5)


def compiled(tiny_model, reviews, output, formats, steps):
    gate = replace(Recipe().gate, min_cosine_integer_activations=0.9)
    return ef.compile(
        tiny_model, output=output, recipe=Recipe(steps=steps, gate=gate), formats=formats, sequence_lengths=[16],
        calibration=reviews["calibration"], evaluation=reviews["evaluation"], threads=1,
    )  # fmt: skip


def test_onnx_of_unequal_blocks_equals_torch(tiny_model, reviews, model, context, tmp_path):
    steps = (PruneStructured(per_block=UNEQUAL),)
    bundle = compiled(tiny_model, reviews, tmp_path / "bundle", ["onnx"], steps)
    # lengths and rows of the compile: 16 tokens cut nothing from the calibration rows
    pruned, _ = prune(model, context, per_block=UNEQUAL)
    ids = np.array([[2, 5, 9, 13, 8, 3]])
    with Session.open(bundle.path, variant="onnx", threads=1) as session:
        found = session.run({"input_ids": ids, "attention_mask": np.ones_like(ids)})["logits"]
    with torch.no_grad():
        expected = pruned.callable_module()(torch.tensor(ids), torch.ones(1, 6, dtype=torch.int64))[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


def test_onnx_matrices_are_smaller(tiny_model, reviews, tmp_path):
    import onnx

    bundle = compiled(tiny_model, reviews, tmp_path / "bundle", ["onnx"], (PruneStructured(per_block=UNEQUAL),))
    graph = onnx.load(next(bundle.path.glob("variants/*/model.onnx"))).graph
    shapes = {tuple(sorted(item.dims)) for item in graph.initializer if len(item.dims) == 2}
    assert {(24, 32), (32, 40), (8, 32)} <= shapes  # channels of both blocks; one head of 8; three heads are 24 again
    assert (32, 64) not in {tuple(item.dims) for item in graph.initializer}


@pytest.mark.slow
@pytest.mark.parametrize("steps", [(), (Quantize(),)], ids=["float32", "int8"])
def test_every_format_carries_unequal_blocks(tiny_model, reviews, tmp_path, steps):
    bundle = compiled(
        tiny_model, reviews, tmp_path / "bundle", ["onnx", "tflite", "coreml"],
        (PruneStructured(per_block=UNEQUAL), *steps),
    )  # fmt: skip
    assert [variant.format for variant in bundle.manifest.variants] == ["onnx", "tflite", "coreml"]
    for variant in bundle.manifest.variants:
        assert variant.verification.cosine_min > (0.9 if steps else 0.9999)
