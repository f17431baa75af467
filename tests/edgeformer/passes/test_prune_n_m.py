"""prune_n_m: the pattern against brute force, and changed, unchanged, refused."""

import numpy as np
import pytest

from edgeformer.data.splits import read_data
from edgeformer.errors import EdgeformerError, InputError, RecipeError
from edgeformer.loading.load import load_model
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.passes.prune_n_m import PruneNM
from edgeformer.passes.quantize import Quantize
from edgeformer.pruning.unstructured import prunable_linears, scores
from edgeformer.recipe import Recipe

DOWN = "bert.encoder.layer.1.output.dense"


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def context(model, reviews):
    return PassContext(data=read_data(model, 128, reviews["calibration"], None))


def weight(model):
    return model.module.get_submodule(DOWN).weight.detach().numpy()


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8), (3, 16)])
@pytest.mark.parametrize("importance", ["magnitude", "wanda"])
def test_the_best_n_of_each_m_stay(model, context, n, m, importance):
    result = run_passes(model, [PruneNM(n=n, m=m, importance=importance)], context)
    linears = prunable_linears(model, "test", ("feed_forward",))
    score = scores(model, linears, importance, "test", context)[DOWN].numpy()
    before, after = weight(model), weight(result.model)
    for row in range(before.shape[0]):
        for start in range(0, before.shape[1], m):
            group = slice(start, start + m)
            best = sorted(range(m), key=lambda i: -score[row, group][i])[:n]
            expected = np.zeros(m, np.float32)
            expected[best] = before[row, group][best]
            assert np.array_equal(after[row, group], expected)
    facts = result.records[0].facts
    assert facts["pattern"] == f"{n}:{m}"
    assert facts["sparsity"] == pytest.approx(1 - n / m)
    assert "no engine here runs faster" in facts["effect"]


def test_unchanged(model):
    once = PruneNM().run(model, PassContext()).model
    assert not PruneNM().run(once, PassContext()).changed
    assert not PruneNM(n=3, m=4).run(once, PassContext()).changed
    assert not PruneNM(n=4, m=4).run(model, PassContext()).changed


def test_the_promise_is_checked(model):
    with pytest.raises(EdgeformerError, match=r"a group of 4 has 4 weights"):
        PruneNM().ensures(model)


def test_refused(model):
    with pytest.raises(InputError, match=r"layer bert\..*: 32 inputs are not a multiple of m = 5"):
        run_passes(model, [PruneNM(m=5)], PassContext())
    with pytest.raises(InputError, match=r"importance wanda.*--calibration"):
        PruneNM(importance="wanda").run(model, PassContext())
    with pytest.raises(RecipeError, match="put prune_n_m before quantize"):
        run_passes(model, [Quantize(), PruneNM()], PassContext())


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": 5}, {"importance": "luck"}, {"roles": ("embedding",)}], ids=str)
def test_refused_settings(wrong):
    with pytest.raises(RecipeError, match="prune_n_m"):
        PruneNM(**wrong)


def test_recipe_round_trip():
    recipe = Recipe(steps=(PruneNM(n=1),))
    assert Recipe.from_toml(recipe.to_toml()) == recipe
