"""Integers against an independent float64 reference, and the promises that every exporter builds on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer.errors import InputError
from edgeformer.quantization import NEEDS_INPUTS, QUANTIZERS, mse, rtn
from edgeformer.quantization.scales import SMALLEST_SCALE, round_up_to_float16
from edgeformer_converters.ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear, WeightFormat

FORMATS = [
    f"int{bits}{asym}{tail}"
    for bits in (4, 8)
    for asym in ("", "-asym")
    for tail in ("", "-tensor", "-block32", "-block64", "-block128")
]


def matrix(seed, rows=6, columns=128, spread=0.05):
    return (np.random.default_rng(seed).standard_normal((rows, columns)) * spread).astype(np.float32)


@pytest.mark.parametrize("text", FORMATS)
def test_format_text_round_trip(text):
    assert str(WeightFormat.parse(text)) == text


@pytest.mark.parametrize("text", ["int5", "int8-block16", "int4-block", "fp8", "int8-tensor-block32", "INT8", ""])
def test_unknown_formats_are_refused(text):
    with pytest.raises(InputError):
        WeightFormat.parse(text)


@pytest.mark.parametrize("name", sorted(set(QUANTIZERS) - NEEDS_INPUTS))
@pytest.mark.parametrize("text", FORMATS)
@given(seed=st.integers(0, 10_000), spread=st.sampled_from([1e-3, 0.05, 3.0]))
@settings(max_examples=8)
def test_error_is_within_half_a_step_where_nothing_is_clipped(name, text, seed, spread):
    weight = matrix(seed, spread=spread)
    chosen = QUANTIZERS[name](weight, WeightFormat.parse(text))
    low, high = chosen.format.integer_range
    step = np.repeat(np.broadcast_to(chosen.scale, (6, chosen.groups)), 128 // chosen.groups, axis=1)
    inside = (chosen.integers > low) & (chosen.integers < high)
    error = np.abs(chosen.dequantize().astype(np.float64) - weight)
    assert (error[inside] <= step[inside] * 0.5000001 + 1e-12).all()


@pytest.mark.parametrize("text", ["int8", "int4"])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_symmetric_equals_the_equation_in_float64(text, seed):
    weight = matrix(seed)
    top = {"int8": 127, "int4": 7}[text]
    chosen = rtn.quantize(weight, WeightFormat.parse(text))
    scale = chosen.scale.astype(np.float64)
    ideal = np.abs(weight.astype(np.float64)).max(1, keepdims=True) / top
    assert (scale >= ideal * (1 - 1e-7)).all()  # rounded up, so that the largest weight isn't clipped
    assert (scale <= ideal * (1 + 2**-10)).all()
    expected = np.clip(np.rint(weight / chosen.scale), -top, top)
    assert np.array_equal(chosen.integers, expected)


@pytest.mark.parametrize("text", [t for t in FORMATS if t.startswith("int4")] + ["int8", "int8-tensor"])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10)
def test_the_int8_form_is_exact(text, seed):
    chosen = rtn.quantize(matrix(seed), WeightFormat.parse(text))
    wide = chosen.integers.astype(np.int16).reshape(len(chosen.integers), chosen.groups, -1)
    if chosen.zero_point is not None:
        wide -= chosen.zero_point.astype(np.int16)[..., None]
    if chosen.block_multiplier is not None:
        wide *= chosen.block_multiplier.astype(np.int16)[..., None]
    assert np.abs(wide).max() <= 127
    exact = wide.reshape(chosen.integers.shape) * chosen.channel_scale.astype(np.float64)
    assert np.array_equal(exact.astype(np.float32), chosen.dequantize())


@pytest.mark.parametrize("text", FORMATS)
def test_scales_are_float16_and_zero_stays_zero(text):
    weight = matrix(1)
    weight[2] = 0
    weight[:, 5] = 0
    chosen = rtn.quantize(weight, WeightFormat.parse(text))
    assert np.array_equal(chosen.scale.astype(np.float16).astype(np.float32), chosen.scale)
    assert (chosen.scale >= SMALLEST_SCALE).all()
    assert not chosen.dequantize()[weight == 0].any()


@pytest.mark.parametrize("text", ["int4", "int4-asym", "int4-block32"])
def test_clip_search_never_loses_to_round_to_nearest(text):
    weight = matrix(3, rows=32, columns=256)
    chosen = WeightFormat.parse(text)
    errors = [np.square(q.quantize(weight, chosen).dequantize() - weight).sum() for q in (mse, rtn)]
    assert errors[0] <= errors[1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_is_refused(bad):
    weight = matrix(0)
    weight[1, 1] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        rtn.quantize(weight, WeightFormat.parse("int8"))


def test_blocks_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="can't be cut into blocks of 32"):
        rtn.quantize(matrix(0, columns=40), WeightFormat.parse("int4-block32"))


@given(st.floats(2.0**-20, 60_000, width=32))
def test_rounding_up_to_float16(value):
    rounded = round_up_to_float16(np.array([value], np.float32))
    assert rounded[0] >= np.float32(value)
    assert rounded[0] == np.float16(rounded[0])
    assert rounded[0] <= max(value, SMALLEST_SCALE) * (1 + 2**-10)


@pytest.mark.parametrize(
    "change",
    [
        {"integers": np.full((2, 4), 100, np.int8)},
        {"channel_scale": np.ones((3, 1), np.float32)},
        {"channel_scale": np.full((2, 1), 0.1, np.float32)},
        {"channel_scale": np.array([[1.0], [-1.0]], np.float32)},
        {"zero_point": np.zeros((2, 1), np.int8)},
        {"block_multiplier": np.ones((2, 1), np.int8)},
    ],
)
def test_an_impossible_integer_weight_cannot_be_made(change):
    good = {"integers": np.ones((2, 4), np.int8), "channel_scale": np.ones((2, 1), np.float32)}
    IntegerWeight(WeightFormat(4), **good)
    with pytest.raises(InputError):
        IntegerWeight(WeightFormat(4), **{**good, **change})


@pytest.mark.parametrize("text", ["int4-asym-block32", "int8", "int8-block64"])
def test_modules_carry_the_integers_through_state_dict(text):
    import torch

    chosen = rtn.quantize(matrix(7), WeightFormat.parse(text))
    layer = QuantizedLinear(chosen, torch.zeros(6))
    assert layer.integer_weight().same_as(chosen)
    assert not any("dequantized" in key for key in layer.state_dict())
    x = torch.randn(3, 128)
    torch.testing.assert_close(layer(x), x @ torch.from_numpy(chosen.dequantize()).T)
    table = QuantizedEmbedding(chosen)
    torch.testing.assert_close(table(torch.tensor([[1, 5]]))[0], torch.from_numpy(chosen.dequantize()[[1, 5]]))
