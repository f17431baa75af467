"""Replay, damage and profile, each against a reference that is computed another way."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parents[2]))
from baseline_plans import random_plan

from edgeformer.allocation.units import layer_units
from edgeformer.data.encoded import EncodedSamples
from edgeformer.data.synthetic import synthetic
from edgeformer.errors import InputError
from edgeformer.loading.load import load_model
from edgeformer.model.base import from_module
from edgeformer.model.layers import quantizable_layers
from edgeformer.passes.quantize import Quantize
from edgeformer.probing.prefix_replay import PrefixReplay
from edgeformer.quantization import QUANTIZERS
from edgeformer.sensitivity.candidates import Candidates, stored_bytes
from edgeformer.sensitivity.damage import Damage, damage, directions, linear_damage
from edgeformer.sensitivity.measure import PlanEvaluator, ProfileSettings, profile, profile_batches, run_batches
from edgeformer.sensitivity.profile import Profile
from edgeformer.tasks import get_task
from edgeformer_converters.ops import WeightFormat
from edgeformer_runtime.bundle.manifest import TaskSpec

FORMATS = ("int8", "int4", "int4-block32", "int4-block64")


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def rows(model):
    return synthetic(model.signature, 12)


@pytest.fixture(scope="module")
def exact(model, rows):
    return profile(model, rows, ProfileSettings(FORMATS, blocks_after=None))


def other_family(name):
    import transformers

    torch.manual_seed(1)
    size = {"vocab_size": 64, "max_position_embeddings": 64}
    if name == "distilbert":
        config = transformers.DistilBertConfig(**size, dim=32, n_layers=3, n_heads=4, hidden_dim=64)
        return transformers.DistilBertForSequenceClassification(config)
    kind = {"mpnet": "MPNet", "roberta": "Roberta"}[name]
    config = getattr(transformers, f"{kind}Config")(
        **size, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64
    )
    return getattr(transformers, f"{kind}ForSequenceClassification")(config)


def saved(module, directory):
    module.save_pretrained(directory)
    return load_model(directory)


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet", "roberta"])
def test_a_run_from_any_block_equals_the_whole_run(family, model, tmp_path):
    model = model if family == "bert" else saved(other_family(family), tmp_path / family)
    batch = profile_batches(model, synthetic(model.signature, 12))[0]
    replay = PrefixReplay(model)
    assert replay.blocks >= 2
    whole = replay.record(batch)
    for start in range(replay.blocks + 1):
        torch.testing.assert_close(replay.run(start), whole, rtol=0, atol=0)
        for stop in range(max(start, 1), replay.blocks):
            hidden = replay.run_until(start, stop)
            torch.testing.assert_close(hidden, replay.hidden_before(stop), rtol=0, atol=0)
    torch.testing.assert_close(run_batches(model, [batch])[0], whole, rtol=0, atol=0)
    assert all("forward" not in block.__dict__ for block in model.module.modules())


def test_blocks_before_the_start_are_not_run(model, rows):
    batch = profile_batches(model, rows)[0]
    replay = PrefixReplay(model)
    replay.record(batch)
    calls = []
    path = "bert.encoder.layer.{}.output.dense"
    handles = [
        model.module.get_submodule(path.format(i)).register_forward_hook(lambda *_, i=i: calls.append(i))
        for i in (0, 1)
    ]
    replay.run(1)
    replay.run_until(0, 1)
    for handle in handles:
        handle.remove()
    assert calls == [1, 0]


def test_gradients_foretell_small_changes(model, rows):
    batch = profile_batches(model, rows)[0]
    replay = PrefixReplay(model)
    before = replay.record(batch)[0]
    found = replay.gradients(lambda outputs: directions(get_task(model.task), outputs, batch.real, torch.Generator()))
    step = 1e-3 * torch.randn(replay.hidden_before(1).shape, generator=torch.Generator().manual_seed(1))
    kept = replay._kept[0]
    replay._kept[0] = kept + step if isinstance(kept, torch.Tensor) else (kept[0] + step, *kept[1:])
    after = replay.run(1)[0]
    foretold = (found[1] * step).flatten(2).sum(-1).T
    torch.testing.assert_close(after - before, foretold, rtol=0.05, atol=1e-4)


def test_a_family_without_a_description_is_run_as_a_whole():
    module = torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    model = from_module(module, {"x": torch.randn(2, 32)})
    found = profile(model, synthetic(model.signature, 1), ProfileSettings(("int8", "int4")))
    assert "no description of its blocks" in found.replay_reason
    assert all(entry.damage > 0 for layer in found.layers for entry in layer.formats.values())


# ---- damage ----


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 5))
def test_kl_is_scipys(seed, scale):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, scale, (2, 5, 3))
    expected = rel_entr(softmax(a, -1), softmax(b, -1)).sum(-1).mean()
    task = TaskSpec("text-classification", ("a", "b", "c"))
    found = damage(get_task(task), (torch.tensor(a),), (torch.tensor(b),), None)
    assert found.mean == pytest.approx(expected, rel=1e-6, abs=1e-12)
    both = [softmax(np.stack([np.zeros_like(x), x], -1), -1) for x in (a, b)]
    labels = get_task(dataclasses.replace(task, multi_label=True))
    several = damage(labels, (torch.tensor(a),), (torch.tensor(b),), None)
    assert several.mean == pytest.approx(rel_entr(*both).sum((-1, -2)).mean(), rel=1e-6, abs=1e-12)


TASKS = {
    "text-classification": (TaskSpec("text-classification", tuple("abc")), [(4, 3)]),
    "many labels": (TaskSpec("text-classification", tuple(map(str, range(20)))), [(4, 20)]),
    "multi-label": (TaskSpec("text-classification", tuple(map(str, range(20))), multi_label=True), [(4, 20)]),
    "regression": (TaskSpec("text-classification", ("x",), regression=True), [(4, 1)]),
    "token-classification": (TaskSpec("token-classification", tuple("abc")), [(4, 6, 3)]),
    "question-answering": (TaskSpec("question-answering"), [(4, 6), (4, 6)]),
    "feature-extraction": (TaskSpec("feature-extraction"), [(4, 16)]),
    "tensors": (TaskSpec("tensors"), [(4, 5), (4, 2, 2)]),
}


def padded(shapes):
    real = torch.ones(4, 6, dtype=torch.bool)
    real[0, 3:] = False
    return real if len(shapes[0]) > 1 and shapes[0][1] == 6 else None


@pytest.mark.parametrize("name", TASKS)
def test_equal_outputs_have_no_damage_and_padding_does_not_count(name):
    task, shapes = TASKS[name]
    torch.manual_seed(2)
    outputs = tuple(torch.randn(shape) for shape in shapes)
    real = padded(shapes)
    assert damage(get_task(task), outputs, outputs, real).mean == pytest.approx(0, abs=1e-12)
    other = tuple(t + 0.3 * torch.randn_like(t) for t in outputs)
    found = damage(get_task(task), outputs, other, real).mean
    assert found > 0
    if real is not None:
        noisy = [t.clone() for t in other]
        for tensor in noisy:
            tensor[~real] += 5.0
        assert damage(get_task(task), outputs, tuple(noisy), real).mean == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("name", TASKS)
def test_directions_measure_the_leading_term(name, monkeypatch):
    monkeypatch.setattr("edgeformer.sensitivity.damage.RANDOM_DIRECTIONS", 4000)
    task, shapes = TASKS[name]
    torch.manual_seed(3)
    outputs = tuple(torch.randn(shape, dtype=torch.float64) for shape in shapes)
    change = tuple(1e-3 * torch.randn_like(t) for t in outputs)
    real = padded(shapes)
    along = torch.stack([
        sum((u * d).flatten(1).sum(-1) for u, d in zip(direction, change, strict=True))
        for direction in directions(get_task(task), outputs, real, torch.Generator().manual_seed(4))
    ])  # fmt: skip
    after = tuple(t + d for t, d in zip(outputs, change, strict=True))
    expected = damage(get_task(task), outputs, after, real)
    found = linear_damage(get_task(task), outputs, along, real)
    assert found.weight == expected.weight
    assert found.mean == pytest.approx(expected.mean, rel=0.15)


def test_outputs_that_are_not_numbers_are_refused():
    bad = (torch.tensor([[float("nan"), 0.0]]),)
    with pytest.raises(InputError, match="original model's outputs hold NaN"):
        damage(get_task(TASKS["tensors"][0]), bad, bad, None)


def test_batches_add_up():
    assert (Damage(2, 1) + Damage(4, 2)).mean == 2
    assert Damage().mean == 0


# ---- candidates ----


@pytest.mark.parametrize("text", ["int8", "int4", "int4-asym", "int4-block32", "int8-block32", "int8-tensor"])
def test_stored_bytes_are_those_of_the_integers(text):
    weight = np.random.default_rng(0).standard_normal((6, 64), dtype=np.float32)
    assert stored_bytes((6, 64), text) == QUANTIZERS["rtn"](weight, WeightFormat.parse(text)).size_bytes
    assert stored_bytes((6, 64), "float32") == weight.nbytes


def test_swapped_layers_compute_what_the_quantize_pass_makes_and_come_back(model, rows):
    plan = {
        path: ("int4", "int8", "int4-block32")[index % 3] for index, path in enumerate(quantizable_layers(model.module))
    }
    batches = profile_batches(model, rows)
    candidates = Candidates(model, list(plan), "mse", batches)
    before = candidates.model.digest()
    with candidates.swapped(plan):
        found = run_batches(candidates.model, batches)
    layers = {f"^{path}$": text for path, text in plan.items()}
    from edgeformer.passes.base import PassContext

    quantized = Quantize(algorithm="mse", layers=layers).run(model, PassContext()).model
    torch.testing.assert_close(found, run_batches(quantized, batches))
    assert candidates.model.digest() == before == model.digest()


def test_layers_that_share_a_parameter_are_changed_apart():
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(8, 8, bias=False), torch.nn.Linear(8, 8, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(torch.relu(self.first(x)))

    model = from_module(Tied(), {"x": torch.randn(2, 8)})
    batches = profile_batches(model, synthetic(model.signature, 1))
    candidates = Candidates(model, ["first", "second"], "rtn", batches)
    with candidates.swapped({"second": "int4"}):
        assert torch.equal(candidates.layer("first").weight, model.module.first.weight)
        assert not torch.equal(candidates.layer("second").weight, model.module.second.weight)


# ---- profile ----


def test_the_profile_is_the_damage_of_each_layer_alone(model, rows, exact):
    batches = profile_batches(model, rows)
    expected = run_batches(model, batches)
    floats = dict.fromkeys(("embedding", "attention", "feed_forward", "pooler", "head", "other"), "float32")
    from edgeformer.passes.base import PassContext

    for path in ("bert.embeddings.word_embeddings", "bert.encoder.layer.0.attention.self.query", "classifier"):
        changed = Quantize(algorithm="mse", layers={f"^{path}$": "int4"}, **floats).run(model, PassContext()).model
        total = Damage()
        for batch, a, b in zip(batches, expected, run_batches(changed, batches), strict=True):
            total += damage(get_task(model.task), a, b, batch.real)
        assert exact.layer(path).formats["int4"].damage == pytest.approx(total.mean, rel=1e-4)


def test_gradients_rank_layers_as_whole_runs_do(model, rows, exact):
    near = profile(model, rows, ProfileSettings(FORMATS, blocks_after=0))
    for name in ("int8", "int4"):
        pairs = [
            (a.formats[name].damage, b.formats[name].damage) for a, b in zip(near.layers, exact.layers, strict=True)
        ]
        assert spearmanr(*zip(*pairs, strict=True)).statistic > 0.9
    assert all(entry.damage is None or entry.damage >= 0 for layer in near.layers for entry in layer.formats.values())


def test_what_layers_have_in_common_foretells_whole_plans(model, rows, exact):
    units = layer_units(exact, ("int8", "int4", "int4-block32"))
    batches = profile_batches(model, rows)
    evaluator = PlanEvaluator(Candidates(model, [unit.name for unit in units], "mse", batches), batches)
    found = [random_plan(units, seed).formats for seed in range(30)]
    true = [evaluator.damage(formats) for formats in found]
    predicted = [exact.predicted_damage(formats) for formats in found]
    assert spearmanr(true, predicted).statistic >= 0.8


def test_what_a_layer_cannot_have_is_none_with_the_reason(exact):
    entry = exact.layer("bert.encoder.layer.0.attention.self.query").formats["int4-block64"]
    assert entry.damage is None
    assert entry.size_bytes is None
    assert entry.reason == "32 input channels can't be cut into blocks of 64"
    with pytest.raises(InputError, match="blocks of 64"):
        exact.predicted_damage({"bert.encoder.layer.0.attention.self.query": "int4-block64"})


def test_eight_bits_damage_less_than_four(exact):
    total = {name: sum(layer.formats[name].damage for layer in exact.layers) for name in ("int8", "int4")}
    assert 0 < total["int8"] < total["int4"] / 10


def test_the_text_of_a_profile_is_exact_and_damage_is_said(exact):
    pruned = dataclasses.replace(exact, prune={0: {0.25: 0.125, 0.5: 1 / 3}, 1: {0.25: 0.5}})
    text = pruned.to_json()
    assert Profile.from_dict(json.loads(text)) == pruned
    for old, new in (('"profile_version": 1', '"profile_version": 9'), ('"kind"', '"sort"'), ("0.125", "-1")):
        with pytest.raises(InputError, match=r"^profile: "):
            Profile.from_dict(json.loads(text.replace(old, new)))
    with pytest.raises(InputError, match=r"^profile: "):
        Profile.from_dict([])


def test_the_metric_is_that_of_the_quantized_model(model, rows):
    labelled = dataclasses.replace(rows, targets=tuple(index % 2 for index in range(len(rows.feeds))))
    found = profile(model, labelled, ProfileSettings(("int4",), metric=True))
    shares = [layer.formats["int4"].metric for layer in found.layers]
    assert found.metric_unchanged is not None
    assert all(share * len(rows.feeds) == pytest.approx(round(share * len(rows.feeds))) for share in shares)
    with pytest.raises(InputError, match="needs labelled rows"):
        profile(model, rows, ProfileSettings(("int4",), metric=True))


def test_pruned_blocks_are_measured_by_the_function_given(model, rows):
    def prune(index, ratio):
        module = model.copy_module()
        dense = module.bert.encoder.layer[index].intermediate.dense
        with torch.no_grad():
            dense.weight[: int(ratio * dense.out_features)] = 0
        return model.with_module(module)

    found = profile(model, rows, ProfileSettings(("int8",)), prune=(prune, (0.0, 0.5)))
    assert found.prune[0][0.0] == pytest.approx(0, abs=1e-9)
    assert found.prune[0][0.5] > 0
    assert set(found.prune) == {0, 1}


def test_gptq_gets_its_inputs_and_tables_do_not(model, rows):
    found = profile(model, rows, ProfileSettings(("int4",), algorithm="gptq"))
    assert all(layer.formats["int4"].damage > 0 for layer in found.layers if layer.role == "attention")


def test_wrong_settings_are_refused(model, rows):
    with pytest.raises(InputError, match="no formats"):
        ProfileSettings(())
    with pytest.raises(InputError, match="blocks_after = -1"):
        ProfileSettings(("int8",), blocks_after=-1)
    with pytest.raises(InputError, match="no rows"):
        profile(model, EncodedSamples((), None, "none"), ProfileSettings(("int8",)))


def test_a_broken_weight_names_its_layer(tiny_model, rows):
    broken = load_model(tiny_model)
    with torch.no_grad():
        broken.module.bert.encoder.layer[1].output.dense.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"layer bert\.encoder\.layer\.1\.output\.dense: .*NaN"):
        profile(broken, rows, ProfileSettings(("int8",)))


def test_a_plan_of_one_layer_has_the_profiles_damage(model, rows, exact):
    batches = profile_batches(model, rows)
    evaluator = PlanEvaluator(Candidates(model, list(quantizable_layers(model.module)), "mse", batches), batches)
    path = "bert.encoder.layer.1.output.dense"
    assert evaluator.damage({path: "int4"}) == pytest.approx(exact.layer(path).formats["int4"].damage, rel=1e-4)
    assert evaluator.damage({}) == pytest.approx(0, abs=1e-12)
