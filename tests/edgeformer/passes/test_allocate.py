"""The allocate pass and the sensitivity command: changed, refused with a reason, kept, and repeatable."""

import json
import random

import pytest
import torch

from edgeformer.allocation.knapsack import Option, Unit, allocate
from edgeformer.allocation.latency_table import LatencyEntry, LatencyTable
from edgeformer.allocation.refine import refine
from edgeformer.cli import main
from edgeformer.data.splits import read_data
from edgeformer.errors import InputError, RecipeError
from edgeformer.loading.load import load_model
from edgeformer.passes.allocate import Allocate
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.passes.quantize import Quantize
from edgeformer.recipe import Recipe
from edgeformer.sensitivity.profile import Profile
from edgeformer.stages import Stages
from edgeformer_converters.base import quantized_layers
from edgeformer_converters.ops import QuantizedLinear

WORDS = "the a good bad film book was very not and plot actor great dull fine slow fun sad true best"
QUERY = "bert.encoder.layer.0.attention.self.query"


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    generator = random.Random(7)
    path = tmp_path_factory.mktemp("rows") / "calibration.jsonl"
    rows = [
        {"text": " ".join(generator.choices(WORDS.split(), k=generator.randint(3, 12))), "label": i % 2}
        for i in range(60)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="module")
def context(model, calibration, tmp_path_factory):
    data = read_data(model, 128, calibration, None)
    return PassContext(data=data, stages=Stages(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def ends(model, context):
    """Bytes of the smallest and of the least damaging choice."""
    points = Allocate().frontier(model, context, 8)
    return points[0].size_bytes, points[-1].size_bytes


def bytes_of(model):
    return sum(layer.integer_weight().size_bytes for layer in quantized_layers(model.module).values())


def test_the_budget_is_met_and_the_facts_repeat_the_result(model, context, ends):
    budget = sum(ends) // 2
    before = model.digest()
    result = run_passes(model, [Allocate(max_bytes=budget)], context)
    facts = result.records[0].facts
    assert bytes_of(result.model) == facts["size_bytes"] <= budget
    assert facts["predicted_damage"] > 0
    assert facts["true_damage"] == min(tried["true"] for tried in facts["tried"])
    assert len(set(facts["plan"].values())) > 1
    assert model.digest() == before
    assert Profile.from_dict(json.loads(json.dumps(facts))["profile"]).model_digest == before
    (step,) = facts["steps"]
    options = {key: value for key, value in step.items() if key != "pass"}
    assert step["pass"] == "quantize"
    again = run_passes(model, [Quantize(**options)], context)
    assert again.model.digest() == result.model.digest()


def test_the_head_and_small_tables_stay_floats(model, context, ends):
    quantized = quantized_layers(run_passes(model, [Allocate(max_bytes=ends[1])], context).model.module)
    assert "classifier" not in quantized
    assert "bert.embeddings.token_type_embeddings" not in quantized
    assert "bert.embeddings.word_embeddings" in quantized


def test_the_profile_is_measured_once(model, context, ends):
    Allocate(max_bytes=ends[1]).run(model, context)
    kept = [record for record in context.stages.records if record.name == "sensitivity profile"]
    assert kept[-1].resumed


def test_the_frontier_is_concrete_and_the_smallest_comes_first(model, context, ends):
    step = Allocate()
    points = step.frontier(model, context, 4)
    assert not step.has_budget
    assert [p.size_bytes for p in points] == sorted({p.size_bytes for p in points})
    assert [p.damage for p in points] == sorted({p.damage for p in points}, reverse=True)
    for point in (points[0], points[-1]):
        made = run_passes(model, step.steps(point), context).model
        assert bytes_of(made) == point.size_bytes


def test_a_recipe_holds_it(model):
    recipe = Recipe(steps=(Allocate(max_bytes=9000, formats=("int8", "int4")),))
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_scales_a_tensor_leave_tables_floats(model, context, ends):
    made = run_passes(model, [Allocate(max_bytes=ends[1]).per_tensor()], context).model
    layers = quantized_layers(made.module)
    assert layers
    assert all(isinstance(layer, QuantizedLinear) for layer in layers.values())
    assert {str(layer.format) for layer in layers.values()} == {"int8-tensor"}


def write_table(path, model, slow):
    shapes = {tuple(m.weight.shape) for m in model.module.modules() if isinstance(m, torch.nn.Linear)}
    times = {"int8": 1.0, "int4": slow, "int4-block32": slow}
    entries = tuple(LatencyEntry(*shape, name, ms, 100) for shape in sorted(shapes) for name, ms in times.items())
    path.write_text(LatencyTable("litert", "2", "aarch64", 1, 64, entries, rest_ms=2.0).to_json())


def test_a_brought_latency_table_decides(model, context, tmp_path):
    path = tmp_path / "device.json"
    write_table(path, model, slow=5.0)
    linears = 13  # six a block and the pooler
    step = Allocate(max_latency_ms=2.0 + linears, latency_table=str(path))
    facts = run_passes(model, [step], context).records[0].facts
    assert set(facts["plan"].values()) == {"int8"}
    assert facts["predicted_latency_ms"] == linears
    with pytest.raises(InputError, match="fastest takes 13 ms"):
        run_passes(model, [Allocate(max_latency_ms=14.0, latency_table=str(path))], context)
    with pytest.raises(InputError, match="takes 2 ms already"):
        run_passes(model, [Allocate(max_latency_ms=1.0, latency_table=str(path))], context)


def test_what_the_table_lacks_is_named(model, context, tmp_path):
    path = tmp_path / "device.json"
    path.write_text(LatencyTable("litert", "2", "aarch64", 1, 64, (LatencyEntry(9, 9, "int8", 1.0, 9),)).to_json())
    with pytest.raises(InputError, match="no entry for 32x32 as int8"):
        run_passes(model, [Allocate(max_latency_ms=9.0, latency_table=str(path))], context)


def test_a_budget_too_small_says_what_is_possible(model, context, ends):
    with pytest.raises(InputError, match=f"pass allocate: no plan meets.*smallest plan has {ends[0]} bytes"):
        run_passes(model, [Allocate(max_bytes=100)], context)


def test_refusals(model, context):
    with pytest.raises(RecipeError, match="give it max_bytes or max_latency_ms"):
        Allocate().run(model, context)
    with pytest.raises(InputError, match="give --calibration FILE"):
        run_passes(model, [Allocate(max_bytes=1)], PassContext())
    for wrong in (
        {"algorithm": "best"}, {"formats": ()}, {"formats": ("int3",)}, {"keep": ("hed",)}, {"max_bytes": 0},
        {"max_latency_ms": -1.0}, {"factor": 1.0}, {"evaluations": 0},
            {"latency_format": "coreml"}, {"blocks_after": -2},
    ):  # fmt: skip
        with pytest.raises(RecipeError, match="allocate"):
            Allocate(**wrong)


# ---- refinement ----


def ladder(damages):
    return [Unit(name, (Option("int8", 0.0, 8), Option("int4", damage, 4))) for name, damage in damages.items()]


def test_a_good_prediction_needs_one_measurement():
    units = ladder({"a": 1.0, "b": 2.0})
    found = refine(units, lambda formats: allocate(units, 12).damage * 1.1, max_bytes=12)
    assert len(found.tried) == 1
    assert found.plan == allocate(units, 12)


def test_refinement_finds_the_truth_that_the_sum_misses():
    predicted = {"a": 1.0, "b": 1.1, "c": 2.0, "d": 2.2}
    truth = {"a": 9.0, "b": 9.5, "c": 2.0, "d": 2.1}

    def true_damage(formats):
        return sum(truth[name] for name, format in formats.items() if format == "int4")

    units = ladder(predicted)
    roles = {"a": "attention", "b": "attention", "c": "feed_forward", "d": "feed_forward"}
    found = refine(units, true_damage, max_bytes=24, roles=roles, evaluations=8)
    assert found.tried[0].true == 18.5
    assert found.true == 4.1
    assert found.plan.size_bytes <= 24
    assert len({tuple(sorted(t.formats.items())) for t in found.tried}) == len(found.tried) <= 8


def test_refinement_never_ends_worse_and_stops_when_nothing_is_left():
    units = ladder({"a": 1.0, "b": 2.0})
    found = refine(units, lambda formats: 100.0, max_bytes=12, evaluations=50)
    assert len(found.tried) <= 3
    assert found.plan == allocate(units, 12)
    with pytest.raises(InputError, match="factor 1"):
        refine(units, lambda formats: 1.0, factor=1)


# ---- the command ----


def test_the_command_prints_a_table_and_writes_the_profile(tiny_model, calibration, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EDGEFORMER_CACHE", str(tmp_path / "cache"))
    output = tmp_path / "profile.json"
    fixed = ["sensitivity", str(tiny_model), "--calibration", str(calibration), "--formats", "int8,int4-block64"]
    assert main([*fixed, "-o", str(output), "--metric"]) == 0
    table = capsys.readouterr().out
    assert QUERY in table
    assert "in brackets the metric" in table
    assert "can't be cut into blocks of 64" in table
    assert main([*fixed, "--metric", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json.loads(output.read_text())
    assert "kept from an earlier run" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--formats", "int3"], "int3"),
        (["--algorithm", "best"], "expected one of rtn"),
        (["--rows", "0"], "expected at least 1"),
    ],
)
def test_the_command_refuses_with_2(tiny_model, calibration, capsys, arguments, message):
    assert main(["sensitivity", str(tiny_model), "--calibration", str(calibration), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.fixture(scope="module")
def pruning_ends(model, context):
    """The smallest and the least damaging choice of formats and pruning."""
    return Allocate(prune=(0.5,), round_to=8).frontier(model, context, 4)


def test_pruning_and_formats_are_chosen_together(model, context, pruning_ends):
    smallest = pruning_ends[0]
    assert smallest.size_bytes < Allocate().frontier(model, context, 2)[0].size_bytes
    step = Allocate(prune=(0.5,), round_to=8, max_bytes=smallest.size_bytes)
    result = run_passes(model, [step], context)
    facts = result.records[0].facts
    assert facts["per_block"] == {"0": {"heads": 2, "channels": 32}, "1": {"heads": 2, "channels": 32}}
    assert bytes_of(result.model) == facts["size_bytes"] <= smallest.size_bytes
    assert facts["true_damage"] > 0
    assert [made["pass"] for made in facts["passes"]] == ["prune_structured", "quantize"]
    recipe = Recipe.from_dict(json.loads(json.dumps({"steps": facts["steps"]})))
    assert run_passes(model, recipe.steps, context).model.digest() == result.model.digest()


def test_with_bytes_to_spare_nothing_is_pruned(model, context, pruning_ends):
    result = run_passes(
        model, [Allocate(prune=(0.5,), round_to=8, max_bytes=10 * pruning_ends[-1].size_bytes)], context
    )
    assert result.records[0].facts["per_block"] == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"prune": (1.0,)}, "shares above 0 and below 1"), ({"recover": True}, "recover trains what pruning left")],
)
def test_pruning_settings_that_can_not_work(settings, message):
    with pytest.raises(RecipeError, match=message):
        Allocate(**settings)
