"""prune_unstructured: against brute force in numpy, and changed, unchanged, refused."""

import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeformer.data.splits import read_data
from edgeformer.errors import InputError, RecipeError
from edgeformer.loading.load import load_model
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.passes.prune_unstructured import PruneUnstructured
from edgeformer.passes.quantize import Quantize
from edgeformer.pruning.unstructured import smallest
from edgeformer.recipe import Recipe
from edgeformer.stages import Stages

QUERY = "bert.encoder.layer.0.attention.self.query"
DOWN = "bert.encoder.layer.1.output.dense"


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def context(model, reviews):
    return PassContext(data=read_data(model, 128, reviews["calibration"], None))


def weight(model, path):
    return model.module.get_submodule(path).weight.detach().numpy()


@settings(deadline=None)
@given(arrays(np.float64, (3, 6), elements=st.sampled_from([0.0, 1.0, 2.0, 3.5])), st.integers(0, 6))
def test_smallest_against_brute_force(values, count):
    mask = smallest(torch.from_numpy(values), count).numpy()
    for row, chosen in zip(values, mask, strict=True):
        expected = sorted(range(6), key=lambda index: (row[index], index))[:count]
        assert set(np.flatnonzero(chosen)) == set(expected)


@pytest.mark.parametrize("path", [QUERY, DOWN])
def test_magnitude_by_row(model, path):
    new = PruneUnstructured(sparsity=0.25).run(model, PassContext()).model
    before, after = weight(model, path), weight(new, path)
    quarter = before.shape[1] // 4
    for old, pruned in zip(before, after, strict=True):
        threshold = np.sort(np.abs(old))[quarter]
        assert np.array_equal(pruned, np.where(np.abs(old) < threshold, 0, old))


def test_magnitude_by_layer_and_over_all_layers(model):
    layer = PruneUnstructured(scope="layer", sparsity=0.3).run(model, PassContext())
    before, after = weight(model, QUERY), weight(layer.model, QUERY)
    count = round(0.3 * before.size)
    assert (after == 0).sum() == count
    assert np.abs(before[after == 0]).max() <= np.abs(after[after != 0]).min()
    everywhere = PruneUnstructured(scope="global", sparsity=0.3).run(model, PassContext())
    shares = everywhere.facts["layers"]
    assert everywhere.facts["sparsity"] == pytest.approx(0.3, abs=1e-4)
    assert len(set(shares.values())) > 1
    weights = [weight(model, path) for path in shares]
    removed = [weight(everywhere.model, path) == 0 for path in shares]
    largest = max(np.abs(w[r]).max() for w, r in zip(weights, removed, strict=True))
    assert largest <= min(np.abs(w[~r]).min() for w, r in zip(weights, removed, strict=True))


@pytest.mark.parametrize("scope", ["row", "layer"])
def test_wanda_against_the_formula(model, context, scope):
    """Sun 2023, eq. 1, with the inputs caught by hand, row by row and without padding."""
    caught = []
    hook = model.module.get_submodule(DOWN).register_forward_pre_hook(lambda _, x: caught.append(x[0][0].double()))
    with torch.no_grad():
        for row in context.data.calibration.encoded(model).feeds:
            model.callable_module()(*(torch.from_numpy(row[spec.name]) for spec in model.inputs))
    hook.remove()
    norms = torch.cat(caught).norm(dim=0).numpy()
    before = weight(model, DOWN).astype(np.float64)
    score = np.abs(before) * norms
    new = PruneUnstructured(importance="wanda", sparsity=0.5, scope=scope).run(model, context).model
    zeros = weight(new, DOWN) == 0
    groups = zip(score, zeros, strict=True) if scope == "row" else [(score, zeros)]
    for values, removed in groups:
        assert removed.sum() == removed.size // 2
        assert values[removed].max() <= values[~removed].min()
    magnitude = PruneUnstructured(sparsity=0.5, scope=scope).run(model, PassContext()).model
    assert not np.array_equal(weight(magnitude, DOWN) == 0, zeros)


def test_nothing_else_changes(model):
    before = model.digest()
    new = PruneUnstructured(roles=("attention",)).run(model, PassContext()).model
    assert model.digest() == before
    old_state, new_state = model.module.state_dict(), new.module.state_dict()
    changed = {name for name in old_state if not torch.equal(old_state[name], new_state[name])}
    assert len(changed) == 8
    assert all(".attention." in name and name.endswith("weight") for name in changed)
    kept = new_state[f"{QUERY}.weight"] != 0
    assert torch.equal(old_state[f"{QUERY}.weight"][kept], new_state[f"{QUERY}.weight"][kept])


def test_the_report_is_honest(model):
    result = PruneUnstructured(sparsity=0.5).run(model, PassContext())
    facts = result.facts
    assert "no engine here runs faster" in facts["effect"]
    assert set(facts["layers"].values()) == {0.5}
    total = sum(weight(model, path).size for path in facts["layers"])
    assert facts["stored_bytes"] == {"float32": 4 * total, "int8": total}
    compressed = facts["compressed_bytes"]
    expected = sum(len(zlib.compress(weight(result.model, path).tobytes(), 1)) for path in facts["layers"])
    assert compressed["float32"]["after"] == expected < compressed["float32"]["before"]
    assert compressed["int8"]["after"] < compressed["int8"]["before"]


def test_rounding_to_nearest_keeps_the_zeros(model):
    steps = [PruneUnstructured(sparsity=0.5), Quantize(feed_forward="int4")]
    layer = run_passes(model, steps, PassContext()).model.module.get_submodule(DOWN)
    assert (layer.dequantize() == 0).float().mean() >= 0.5


def test_unchanged(model):
    assert not PruneUnstructured(sparsity=0).run(model, PassContext()).changed
    once = PruneUnstructured(sparsity=0.5).run(model, PassContext()).model
    again = PruneUnstructured(sparsity=0.5).run(once, PassContext())
    assert not again.changed
    assert again.model is once


def test_norms_are_kept(model, context, tmp_path):
    for resumed in (False, True):
        stages = Stages(tmp_path / "cache")
        PruneUnstructured(importance="wanda").run(model, PassContext(data=context.data, stages=stages))
        assert [record.resumed for record in stages.records] == [resumed]


def test_refused(model, tiny_model):
    with pytest.raises(InputError, match=r"importance wanda.*--calibration"):
        PruneUnstructured(importance="wanda").run(model, PassContext())
    with pytest.raises(RecipeError, match="put prune_unstructured before quantize"):
        run_passes(model, [Quantize(), PruneUnstructured()], PassContext())
    with pytest.raises(InputError, match="no linear of the roles other"):
        PruneUnstructured(roles=("other",)).run(model, PassContext())
    broken = load_model(tiny_model)
    with torch.no_grad():
        broken.module.get_submodule(DOWN).weight[0, 0] = float("inf")
    with pytest.raises(InputError, match=r"layer bert\.encoder\.layer\.1\.output\.dense: NaN or infinite"):
        PruneUnstructured().run(broken, PassContext())


@pytest.mark.parametrize(
    "wrong",
    [{"sparsity": 1.0}, {"sparsity": -0.1}, {"importance": "luck"}, {"scope": "block"}, {"roles": ("embedding",)},
     {"roles": ()}, {"importance": "wanda", "scope": "global"}],
    ids=str,
)  # fmt: skip
def test_refused_settings(wrong):
    with pytest.raises(RecipeError, match="prune_unstructured"):
        PruneUnstructured(**wrong)


def test_recipe_round_trip():
    recipe = Recipe(steps=(PruneUnstructured(scope="layer"),))
    assert Recipe.from_toml(recipe.to_toml()) == recipe
