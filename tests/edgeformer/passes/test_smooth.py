"""smooth: the model computes what it did, with channels of more even ranges."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeformer.data.batching import padded_batches
from edgeformer.errors import InputError, ModelError, RecipeError
from edgeformer.loading.load import load_model
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.passes.quantize import Quantize
from edgeformer.passes.smooth import Smooth
from edgeformer.probing.activations import input_statistics
from edgeformer.quantization.smoothquant import equalizing_factors, smoothing_factors
from edgeformer.variants.verification import run_torch

OUTPUT = "bert.encoder.layer.1.attention.output.dense"
SELF = "bert.encoder.layer.1.attention.self"


@pytest.fixture
def uneven(tiny_model):
    """The tiny model with one value channel and one query channel thirty times as large as the others."""
    model = load_model(tiny_model)
    with torch.no_grad():
        attention = model.module.bert.encoder.layer[1].attention.self
        attention.value.weight[5] *= 30
        attention.value.bias[5] = 2
        attention.query.weight[7] *= 30
        attention.query.bias[7] = 1
    return model


def outputs(model, context):
    rows = run_torch(model, context.calibration(model, "test").feeds)
    return np.stack([row["logits"] for row in rows])


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_model_computes_what_it_did(uneven, context, strength):
    before = uneven.digest()
    result = Smooth(strength).run(uneven, context)
    exact = outputs(uneven, context)
    # float32's rounding of the scaled weights, which the query channel made large enlarges
    np.testing.assert_allclose(outputs(result.model, context), exact, atol=5e-5 * np.abs(exact).max())
    assert uneven.digest() == before
    assert result.model.digest() != before
    json.dumps(result.facts)


def test_a_model_with_ordinary_ranges_keeps_its_outputs_to_a_hundred_thousandth(model, context):
    exact = outputs(model, context)
    np.testing.assert_allclose(outputs(Smooth().run(model, context).model, context), exact, rtol=0, atol=1e-5)


def test_ranges_become_even(uneven, context):
    result = Smooth(strength=0.8).run(uneven, context)
    batches = padded_batches(uneven, context.calibration(uneven, "test"))
    found = [input_statistics(m, batches, [OUTPUT])[OUTPUT].abs_max for m in (uneven, result.model)]
    unevenness = [float(ranges.max() / ranges.median()) for ranges in found]
    assert unevenness[1] < 0.3 * unevenness[0]
    facts = result.facts["range_unevenness"][OUTPUT]
    assert [facts["before"], facts["after"]] == pytest.approx(unevenness, rel=1e-3)
    query, key = (result.model.module.get_submodule(f"{SELF}.{name}").weight.abs().amax(1) for name in ("query", "key"))
    torch.testing.assert_close(query, key)


def test_one_scale_a_tensor_loses_less(uneven, context):
    """The error of int8-tensor weights, which is what smoothing is for."""
    exact = outputs(uneven, context)
    plan = Quantize(algorithm="rtn").per_tensor()
    errors = [
        np.square(outputs(run_passes(uneven, steps, context).model, context) - exact).mean()
        for steps in ([plan], [Smooth(), plan])
    ]
    assert errors[1] < errors[0]


def test_facts_name_the_pairs_that_are_left_alone(uneven, context):
    facts = Smooth().run(uneven, context).facts
    assert facts["strength"] == 0.5
    assert facts["pairs"] == ["value → output", "query ↔ key"]
    assert "residual" in facts["left_out"]["layer norm → query, key, value, up"]
    assert facts["largest_output_difference"] < 1e-5


def test_what_it_can_not_smooth_is_refused(model, context, tiny_model):
    with pytest.raises(ModelError, match="put smooth before quantize"):
        run_passes(model, [Quantize(), Smooth()], context)
    with pytest.raises(ModelError, match="no description of its blocks"):
        Smooth().requires(replace(model, architecture="unheard-of"), context)
    shared = load_model(tiny_model)
    shared.module.bert.encoder.layer[1] = shared.module.bert.encoder.layer[0]
    with pytest.raises(ModelError, match="share their weights"):
        Smooth().requires(shared, context)
    with pytest.raises(InputError, match="smooth chooses by real inputs"):
        Smooth().run(model, PassContext())


def test_a_family_with_more_between_the_layers_is_found_out(uneven, context):
    uneven.module.bert.encoder.layer[1].attention.self.value.register_forward_hook(
        lambda _, args, output: output.tanh()
    )
    with pytest.raises(ModelError, match="smoothing changed the outputs"):
        Smooth().run(uneven, context)


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_impossible_strength_is_refused(strength):
    with pytest.raises(RecipeError, match="strength"):
        Smooth(strength)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_factors_are_the_paper_s_up_to_their_mean(seed, strength):
    rng = np.random.default_rng(seed)
    activation, weight = rng.uniform(0.01, 100, (2, 24))
    activation[3] = weight[5] = 0
    found = smoothing_factors(torch.from_numpy(activation), torch.from_numpy(weight), strength).numpy()
    known = (activation > 0) & (weight > 0)
    ideal = activation[known] ** strength / weight[known] ** (1 - strength)
    np.testing.assert_allclose(found[known] / ideal, (found[known] / ideal)[0], rtol=1e-9)
    assert np.log(found[known]).mean() == pytest.approx(0, abs=1e-9)
    assert (found[~known] == 1).all()


def test_equalizing_makes_both_ranges_equal():
    first, second = torch.tensor([4.0, 0.0, 2.0]), torch.tensor([1.0, 3.0, 8.0])
    factors = equalizing_factors(first, second)
    assert factors[1] == 1
    torch.testing.assert_close((first / factors)[[0, 2]], (second * factors)[[0, 2]].float(), check_dtype=False)
