"""Each MIL operation of the evaluator against torch or numpy, and against coremltools' constant folding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, mutually_broadcastable_shapes
from numpy.typing import NDArray
from torch.nn import functional as F

from edgeformer_converters.base import ExportError
from edgeformer_converters.coreml.evaluator import OPERATIONS

Array = NDArray[Any]
QUICK = settings(max_examples=25, deadline=None, derandomize=True)
TESTED: set[str] = set()


def op(name: str) -> Callable[..., Any]:
    return OPERATIONS[name]


def covers(*names: str) -> Callable[[Any], Any]:
    """Note which operations a test covers; the last test says which have none."""
    TESTED.update(names)
    return lambda test: test


def floats(low: float = -8, high: float = 8, **shape: Any) -> st.SearchStrategy[Array]:
    limits = {"min_dims": 1, "max_dims": 4, "max_side": 5, **shape}
    values = st.floats(low, high, width=32, allow_subnormal=False)
    return arrays(np.float32, array_shapes(**limits), elements=values)


def draw(data: st.DataObject, *shape: int, low: float = -3, high: float = 3) -> Array:
    """float32 of ``shape``, from a seed: quick where the values don't decide a branch."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    return rng.uniform(low, high, shape).astype(np.float32)


def close(found: Any, expected: Any, tolerance: float = 2e-5) -> None:
    wanted = expected.numpy() if isinstance(expected, torch.Tensor) else np.asarray(expected)
    assert found.shape == wanted.shape
    assert found.dtype in (np.float32, wanted.dtype)
    assert np.allclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)


def equal(found: Any, expected: Any) -> None:
    wanted = expected.numpy() if isinstance(expected, torch.Tensor) else np.asarray(expected)
    assert found.shape == wanted.shape
    assert np.array_equal(found, wanted)


T = torch.from_numpy

UNARY: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float, float]] = {
    "abs": (torch.abs, -8, 8),
    "ceil": (torch.ceil, -8, 8),
    "cos": (torch.cos, -8, 8),
    "elu": (F.elu, -8, 8),
    "erf": (torch.erf, -4, 4),
    "exp": (torch.exp, -8, 8),
    "exp2": (torch.exp2, -8, 8),
    "floor": (torch.floor, -8, 8),
    "gelu": (F.gelu, -8, 8),
    "identity": (lambda x: x, -8, 8),
    "inverse": (lambda x: 1 / (x + 1e-4), 0.25, 8),
    "leaky_relu": (F.leaky_relu, -8, 8),
    "log": (torch.log, 0.0625, 8),
    "relu": (F.relu, -8, 8),
    "relu6": (F.relu6, -8, 8),
    "round": (torch.round, -8, 8),
    "rsqrt": (torch.rsqrt, 0.0625, 8),
    "sigmoid": (torch.sigmoid, -60, 60),
    "sign": (torch.sign, -8, 8),
    "silu": (F.silu, -60, 60),
    "sin": (torch.sin, -8, 8),
    "softplus": (F.softplus, -8, 8),
    "sqrt": (torch.sqrt, 0, 8),
    "square": (torch.square, -8, 8),
    "tanh": (torch.tanh, -8, 8),
}
BINARY: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "add": torch.add,
    "equal": torch.eq,
    "floor_div": torch.floor_divide,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mod": torch.remainder,
    "mul": torch.mul,
    "not_equal": torch.ne,
    "pow": torch.pow,
    "sub": torch.sub,
}
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduce_l1_norm": lambda x, **a: np.abs(x).sum(**a),
    "reduce_l2_norm": lambda x, **a: np.sqrt((x.astype(np.float64) ** 2).sum(**a)),
    "reduce_log_sum_exp": lambda x, **a: np.log(np.exp(x.astype(np.float64)).sum(**a)),
    "reduce_max": np.max,
    "reduce_mean": np.mean,
    "reduce_min": np.min,
    "reduce_prod": np.prod,
    "reduce_sum": np.sum,
    "reduce_sum_square": lambda x, **a: (x.astype(np.float64) ** 2).sum(**a),
}
covers(*UNARY, *BINARY, *REDUCTIONS)


@pytest.mark.parametrize("name", UNARY)
@QUICK
@given(data=st.data())
def test_unary(name: str, data: st.DataObject) -> None:
    function, low, high = UNARY[name]
    x = data.draw(floats(low, high))
    before = x.copy()
    close(op(name)(x), function(T(x)))
    assert np.array_equal(x, before)


@pytest.mark.parametrize("name", BINARY)
@QUICK
@given(data=st.data())
def test_binary_broadcasts(name: str, data: st.DataObject) -> None:
    shapes = data.draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=4)).input_shapes
    # whole and half numbers: comparisons meet equal values, and quotients are exact
    x, y = (np.round(draw(data, *shape, low=1, high=5) * 2) / 2 for shape in shapes)
    if name.startswith("logical"):
        x, y = x > 3, y > 3
    close(np.asarray(op(name)(x, y)), BINARY[name](T(np.array(x)), T(np.array(y))))


@covers("logical_not", "select", "clip")
@QUICK
@given(x=floats())
def test_conditions_and_limits(x: Array) -> None:
    equal(op("logical_not")(x > 0), ~(x > 0))
    equal(op("select")(x > 0, x, np.float32(-1)), np.where(x > 0, x, np.float32(-1)))
    equal(op("clip")(x, alpha=np.float32(-1), beta=np.float32(2)), T(x).clamp(-1, 2))


@covers("real_div")
@QUICK
@given(x=st.integers(-1000, 1000), y=st.integers(1, 50), z=floats(0.25, 8))
def test_division(x: int, y: int, z: Array) -> None:
    quotient = op("real_div")(np.int32(x), np.int32(y))
    assert quotient == int(x / y)
    assert quotient.dtype == np.int32
    close(op("real_div")(np.float32(x), z), np.float32(x) / z)


@covers("cast")
@QUICK
@given(x=floats(-200, 200))
def test_cast(x: Array) -> None:
    equal(op("cast")(x, dtype="int32"), T(x).to(torch.int32))
    equal(op("cast")(x, dtype="bool"), T(x).to(torch.bool))
    assert op("cast")(x, dtype="fp16").dtype == np.float32
    assert op("cast")(np.int32(3), dtype="uint16").dtype == np.uint16
    with pytest.raises(ExportError, match="cast to 'complex'"):
        op("cast")(x, dtype="complex")


@covers("gelu")
@QUICK
@given(x=floats())
def test_gelu_modes(x: Array) -> None:
    close(op("gelu")(x, mode="TANH_APPROXIMATION"), F.gelu(T(x), approximate="tanh"))
    close(op("gelu")(x, mode="SIGMOID_APPROXIMATION"), T(x) * torch.sigmoid(1.702 * T(x)))


@covers("leaky_relu", "elu", "inverse", "log", "rsqrt")
@QUICK
@given(x=floats(0, 8), alpha=st.floats(0.125, 2))
def test_unary_parameters(x: Array, alpha: float) -> None:
    close(op("leaky_relu")(-x, alpha=alpha), F.leaky_relu(-T(x), alpha))
    close(op("elu")(-x, alpha=alpha), F.elu(-T(x), alpha))
    close(op("inverse")(x, epsilon=alpha), 1 / (T(x) + alpha))
    close(op("log")(x, epsilon=alpha), torch.log(T(x) + alpha))
    close(op("rsqrt")(x, epsilon=alpha), torch.rsqrt(T(x) + alpha))


@pytest.mark.parametrize("name", REDUCTIONS)
@QUICK
@given(data=st.data(), keep=st.booleans())
def test_reductions(name: str, data: st.DataObject, keep: bool) -> None:
    x = data.draw(floats(-2, 2, max_side=4))
    axes = data.draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True))
    expected = REDUCTIONS[name](x, axis=tuple(axes), keepdims=keep)
    close(op(name)(x, axes=np.array(axes, np.int32), keep_dims=keep), expected)
    close(op(name)(x, keep_dims=keep), REDUCTIONS[name](x, axis=None, keepdims=keep), 1e-4)


@covers("reduce_argmax", "reduce_argmin", "cumsum")
@QUICK
@given(data=st.data(), keep=st.booleans())
def test_along_one_axis(data: st.DataObject, keep: bool) -> None:
    x = data.draw(floats())
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    equal(op("reduce_argmax")(x, axis=axis, keep_dims=keep), np.argmax(x, axis=axis, keepdims=keep))
    equal(op("reduce_argmin")(x, axis=axis, keep_dims=keep), np.argmin(x, axis=axis, keepdims=keep))
    close(op("cumsum")(x, axis=axis), T(x).cumsum(axis))
    close(op("cumsum")(x, axis=axis, reverse=True), T(x).flip(axis).cumsum(axis).flip(axis))
    close(op("cumsum")(x, axis=axis, exclusive=True), T(x).cumsum(axis) - T(x))


@covers("linear", "matmul", "einsum")
@QUICK
@given(data=st.data(), sizes=st.tuples(*[st.integers(1, 6)] * 4), turn=st.tuples(st.booleans(), st.booleans()))
def test_products(data: st.DataObject, sizes: tuple[int, ...], turn: tuple[bool, bool]) -> None:
    b, n, k, m = sizes
    x, w, bias = draw(data, b, n, k), draw(data, m, k), draw(data, m)
    close(op("linear")(x, weight=w, bias=bias), F.linear(T(x), T(w), T(bias)))
    close(op("linear")(x, weight=w), F.linear(T(x), T(w)))
    left, right = draw(data, b, 1, n, k), draw(data, 2, k, m)
    expected = np.matmul(left, right)
    stored_left = np.swapaxes(left, -1, -2) if turn[0] else left
    stored_right = np.swapaxes(right, -1, -2) if turn[1] else right
    close(op("matmul")(stored_left, stored_right, transpose_x=turn[0], transpose_y=turn[1]), expected)
    p, q = draw(data, b, n, 2, k), draw(data, b, k, 2, m)
    close(op("einsum")(values=[p, q], equation="nchw,nwhu->nchu"), torch.einsum("nchw,nwhu->nchu", T(p), T(q)))


def test_products_take_read_only_and_reversed_memory() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    x.setflags(write=False)
    close(op("matmul")(x[::-1], x, transpose_y=True), x[::-1] @ x.T)


@covers("softmax", "layer_norm", "l2_norm", "batch_norm")
@QUICK
@given(data=st.data(), sizes=st.tuples(*[st.integers(2, 5)] * 4))
def test_normalisations(data: st.DataObject, sizes: tuple[int, ...]) -> None:
    x = draw(data, *sizes, low=-50, high=50)
    before = x.copy()
    axis = data.draw(st.integers(-4, 3))
    close(op("softmax")(x, axis=axis), F.softmax(T(x), axis))
    gamma, beta = draw(data, *sizes[2:]), draw(data, *sizes[2:])
    expected = F.layer_norm(T(x), sizes[2:], T(gamma), T(beta), 1e-3)
    close(
        op("layer_norm")(x, axes=np.array([2, 3]), gamma=gamma, beta=beta, epsilon=np.float32(1e-3)),
        expected,
        1e-4,
    )
    close(op("layer_norm")(x), F.layer_norm(T(x), sizes), 1e-4)
    close(op("l2_norm")(x, epsilon=0.5), x / np.sqrt((x**2).sum((1, 2, 3), keepdims=True) + 0.5))
    mean, variance, scale, shift = (draw(data, sizes[1], low=0.5) for _ in range(4))
    expected = F.batch_norm(T(x), T(mean), T(variance), T(scale), T(shift), eps=1e-3)
    close(op("batch_norm")(x, mean, variance, scale, shift, epsilon=1e-3), expected, 1e-4)
    assert np.array_equal(x, before)


@covers("scaled_dot_product_attention")
@QUICK
@given(data=st.data(), sizes=st.tuples(*[st.integers(1, 5)] * 5))
def test_attention(data: st.DataObject, sizes: tuple[int, ...]) -> None:
    b, n, s, e, v = sizes
    q, k, value = draw(data, b, 2, n, e), draw(data, b, 2, s, e), draw(data, b, 2, s, v)
    attention = op("scaled_dot_product_attention")
    close(attention(q, k, value), F.scaled_dot_product_attention(T(q), T(k), T(value)))
    mask = draw(data, b, 1, n, s)
    close(attention(q, k, value, mask), F.scaled_dot_product_attention(T(q), T(k), T(value), T(mask)))
    keep = mask > 0
    keep[..., 0] = True
    close(attention(q, k, value, keep), F.scaled_dot_product_attention(T(q), T(k), T(value), T(keep)))


@covers("conv")
@settings(QUICK, max_examples=8)
@given(
    data=st.data(),
    kernel=st.sampled_from([1, 3]),
    step=st.integers(1, 2),
    spread=st.integers(1, 2),
    pad=st.integers(0, 2),
)
def test_convolution(data: st.DataObject, kernel: int, step: int, spread: int, pad: int) -> None:
    x, w, bias = draw(data, 2, 4, 9, 8), draw(data, 6, 2, kernel, kernel), draw(data, 6)
    numbers = {"strides": np.array([step] * 2), "dilations": np.array([spread] * 2), "groups": 2}
    reference = {"stride": step, "dilation": spread, "groups": 2}
    found = op("conv")(x, w, bias, pad_type="custom", pad=np.array([pad] * 4), **numbers)
    close(found, F.conv2d(T(x), T(w), T(bias), padding=pad, **reference), 1e-4)
    close(op("conv")(x, w, pad_type="valid", **numbers), F.conv2d(T(x), T(w), **reference), 1e-4)
    same = op("conv")(x, w, pad_type="same", strides=np.array([1, 1]), dilations=numbers["dilations"], groups=2)
    close(same, F.conv2d(T(x), T(w), padding="same", dilation=spread, groups=2), 1e-4)
    line, filters = draw(data, 1, 3, 7), draw(data, 2, 3, kernel)
    close(op("conv")(line, filters), F.conv1d(T(line), T(filters)), 1e-4)


@covers("constexpr_blockwise_shift_scale", "constexpr_affine_dequantize")
@QUICK
@given(data=st.data(), rows=st.integers(1, 5), groups=st.integers(1, 4), block=st.integers(1, 5))
def test_weights_are_decompressed(data: st.DataObject, rows: int, groups: int, block: int) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    q = rng.integers(-128, 128, (rows, groups * block)).astype(np.int8)
    scale = rng.uniform(0.1, 1, (rows, groups)).astype(np.float32)
    offset = rng.integers(-128, 128, (rows, groups)).astype(np.int8)
    wide, shift = np.repeat(scale, block, 1), np.repeat(offset, block, 1).astype(np.float32)
    close(op("constexpr_blockwise_shift_scale")(q, scale), wide * q)
    close(op("constexpr_blockwise_shift_scale")(q, scale, offset), wide * (q - shift))
    affine = op("constexpr_affine_dequantize")
    expected = scale[:, :1] * (q - offset[:, :1].astype(np.float32))
    close(affine(q, zero_point=offset[:, 0], scale=scale[:, 0], axis=np.int32(0)), expected)
    close(
        affine(q, zero_point=np.int8(3), scale=np.float32(0.5), axis=0),
        np.float32(0.5) * (q.astype(np.float32) - 3),
    )


@covers("shape", "reshape", "transpose", "expand_dims", "squeeze", "tile", "reshape_like")
@QUICK
@given(data=st.data(), x=floats(min_dims=3, max_dims=3))
def test_shapes(data: st.DataObject, x: Array) -> None:
    a, b, c = x.shape
    assert op("shape")(x).tolist() == [a, b, c]
    equal(op("reshape")(x, shape=np.array([0, -1])), x.reshape(a, b * c))
    equal(op("reshape")(x, shape=np.array([-1, 1, b, c])), x.reshape(a, 1, b, c))
    perm = data.draw(st.permutations(range(3)))
    equal(op("transpose")(x, perm=np.array(perm)), T(x).permute(perm))
    wide = op("expand_dims")(x, axes=np.array([0, -1]))
    assert wide.shape == (1, a, b, c, 1)
    equal(op("squeeze")(wide, axes=np.array([0, -1])), x)
    equal(op("squeeze")(np.ones((1, 2, 1))), np.ones(2))
    reps = data.draw(st.lists(st.integers(1, 3), min_size=3, max_size=3))
    equal(op("tile")(x, reps=np.array(reps)), T(x).repeat(reps))
    arguments = {"begins": np.array([0, 1]), "ends": np.array([1, 0]), "end_masks": np.array([False, True])}
    found = op("reshape_like")(x.reshape(-1), ref_tensors=[x, x], **arguments)
    equal(found, x)


@covers("concat", "stack", "split", "pad")
@QUICK
@given(data=st.data(), x=floats(max_dims=3), axis=st.integers(0, 2))
def test_joining_and_splitting(data: st.DataObject, x: Array, axis: int) -> None:
    axis %= x.ndim
    y = x + 1
    equal(op("concat")(values=[x, y], axis=axis), torch.cat([T(x), T(y)], axis))
    equal(op("stack")(values=[x, y], axis=axis), torch.stack([T(x), T(y)], axis))
    woven = np.moveaxis(op("concat")(values=[x, y], axis=axis, interleave=True), axis, 0)
    equal(woven[0::2], np.moveaxis(x, axis, 0))
    equal(woven[1::2], np.moveaxis(y, axis, 0))
    double = np.concatenate([x, y], axis)
    for found, expected in zip(op("split")(double, axis=axis, num_splits=2), (x, y), strict=True):
        equal(found, expected)
    sizes = np.array([1, 2 * x.shape[axis] - 1])
    for found, expected in zip(
        op("split")(double, axis=axis, split_sizes=sizes), T(double).split(sizes.tolist(), axis), strict=True
    ):
        equal(found, expected)
    equal(op("pad")(x, pad=np.array([1, 2]), constant_val=np.float32(7)), F.pad(T(x), (1, 2), value=7))
    with pytest.raises(ExportError, match="split needs"):
        op("split")(double, axis=axis)


@covers("pad")
def test_padding_modes() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    equal(op("pad")(x, pad=np.array([1, 2]), mode="reflect"), F.pad(T(x), (1, 2), mode="reflect"))
    equal(op("pad")(x, pad=np.array([1, 2]), mode="replicate"), F.pad(T(x), (1, 2), mode="replicate"))


@covers("slice_by_index", "slice_by_size")
@QUICK
@given(data=st.data())
def test_slicing(data: st.DataObject) -> None:
    x = draw(data, 4, 5, 6)
    begin = np.array([data.draw(st.integers(0, size - 1)) for size in x.shape], np.int32)
    end = np.array([data.draw(st.integers(b + 1, size)) for b, size in zip(begin, x.shape, strict=True)])
    (a, b, c), (d, e, f) = begin, end
    equal(op("slice_by_index")(x, begin, end), x[a:d, b:e, c:f])
    equal(op("slice_by_index")(x, begin, end, stride=np.array([1, 2, 3])), x[a:d, b:e:2, c:f:3])
    masks = {
        "begin_mask": np.array([True, False, False]),
        "end_mask": np.array([False, True, False]),
        "squeeze_mask": np.array([False, False, True]),
    }
    equal(op("slice_by_index")(x, begin, end, **masks), x[:d, b:, c])
    equal(op("slice_by_size")(x, begin, np.array([d - a, -1, f - c])), x[a:d, b:, c:f])


@covers("gather", "gather_along_axis", "gather_nd")
@QUICK
@given(data=st.data(), axis=st.integers(-3, 2))
def test_gathering(data: st.DataObject, axis: int) -> None:
    x = draw(data, 3, 4, 5)
    size = x.shape[axis]
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    index = rng.integers(0, size, (2, 3)).astype(np.uint16)
    equal(op("gather")(x, indices=index, axis=np.int32(axis)), np.take(x, index.astype(int), axis=axis))
    assert op("gather")(x, indices=np.int32(0), axis=axis).ndim == 2
    batched = rng.integers(0, 4, (3, 2))
    equal(op("gather")(x, indices=batched, axis=1, batch_dims=1), np.stack([x[i][batched[i]] for i in range(3)]))
    shape = list(x.shape)
    shape[axis] = 2
    along = rng.integers(0, size, shape)
    equal(op("gather_along_axis")(x, indices=along, axis=axis), torch.gather(T(x), axis, T(along)))
    pairs = np.stack([rng.integers(0, 3, (2, 6)), rng.integers(0, 4, (2, 6))], axis=-1)
    equal(op("gather_nd")(x, indices=pairs), x[pairs[..., 0], pairs[..., 1]])
    last = rng.integers(0, 4, (3, 2, 1))
    equal(op("gather_nd")(x, indices=last, batch_dims=1), np.stack([x[i][last[i, :, 0]] for i in range(3)]))
    with pytest.raises(ExportError, match="leave an axis"):
        op("gather")(x, indices=np.array([size]), axis=axis)


@covers("fill", "fill_like", "range_1d", "one_hot", "band_part")
@QUICK
@given(data=st.data(), n=st.integers(1, 6), lower=st.integers(-1, 4), upper=st.integers(-1, 4))
def test_making(data: st.DataObject, n: int, lower: int, upper: int) -> None:
    filled = op("fill")(shape=np.array([n, 2], np.int32), value=np.int32(3))
    equal(filled, np.full((n, 2), 3))
    assert filled.dtype == np.int32
    assert op("fill")(shape=np.array([2])).dtype == np.float32
    equal(op("fill_like")(filled, value=np.float32(2)), np.full((n, 2), 2))
    counted = op("range_1d")(start=np.int32(1), end=np.int32(n + 1), step=np.int32(2))
    assert counted.tolist() == list(range(1, n + 1, 2))
    assert counted.dtype == np.int32
    index = np.random.default_rng(n).integers(0, n, (2, 3))
    equal(op("one_hot")(index, one_hot_vector_size=n), F.one_hot(T(index), n))
    equal(op("one_hot")(index, n, axis=0, on_value=np.float32(2)), 2 * np.moveaxis(np.eye(n)[index], -1, 0))
    x = draw(data, 2, n, 5)
    expected = T(x)
    if lower >= 0:
        expected = torch.triu(expected, -lower)
    if upper >= 0:
        expected = torch.tril(expected, upper)
    equal(op("band_part")(x, lower=lower, upper=upper), expected)


X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
FOLDED: list[tuple[str, dict[str, Any]]] = [
    ("band_part", {"x": X[0], "lower": 1, "upper": 0}),
    ("cast", {"x": X - 3.5, "dtype": "int32"}),
    ("concat", {"values": [X, X + 1], "axis": 1}),
    ("cumsum", {"x": X, "axis": 1, "reverse": True}),
    ("fill", {"shape": np.array([2, 3], np.int32), "value": np.float32(2.5)}),
    ("floor_div", {"x": X - 7, "y": np.float32(3)}),
    ("gather", {"x": X, "indices": np.array([[2, 0]], np.int32), "axis": 1}),
    ("gather", {"x": X, "indices": np.array([[2, 0], [1, 1]], np.int32), "axis": 1, "batch_dims": 1}),
    ("gather_along_axis", {"x": X, "indices": np.zeros((2, 2, 4), np.int32), "axis": 1}),
    ("gelu", {"x": X / 4 - 3}),
    ("gelu", {"x": X / 4 - 3, "mode": "TANH_APPROXIMATION"}),
    ("gelu", {"x": X / 4 - 3, "mode": "SIGMOID_APPROXIMATION"}),
    ("inverse", {"x": X + 1}),
    ("layer_norm", {"x": X, "axes": [-1], "epsilon": 1e-3}),
    ("mod", {"x": X - 7, "y": np.float32(3)}),
    ("pad", {"x": X, "pad": np.array([1, 0, 2, 1], np.int32), "constant_val": 5.0}),
    ("range_1d", {"start": np.int32(2), "end": np.int32(9), "step": np.int32(3)}),
    ("reduce_argmax", {"x": X, "axis": 1, "keep_dims": False}),
    ("reduce_log_sum_exp", {"x": X, "axes": [1], "keep_dims": True}),
    ("reduce_mean", {"x": X, "axes": [0, 2], "keep_dims": False}),
    ("reshape", {"x": X, "shape": np.array([0, -1, 2], np.int32)}),
    ("rsqrt", {"x": X, "epsilon": 0.5}),
    ("slice_by_index", {"x": X, "begin": [0, -2, 1], "end": [2, 3, 4], "stride": [1, 1, 2]}),
    (
        "slice_by_size",
        {"x": X, "begin": np.array([0, 1, 1], np.int32), "size": np.array([1, 2, -1], np.int32)},
    ),
    ("softmax", {"x": X, "axis": 1}),
    ("split", {"x": X, "split_sizes": [1, 2], "axis": 1}),
]


@pytest.mark.parametrize(("name", "arguments"), FOLDED, ids=[f"{n}-{i}" for i, (n, _) in enumerate(FOLDED)])
def test_against_the_folding_of_coremltools(name: str, arguments: dict[str, Any]) -> None:
    """coremltools folds most operations on constants: a second opinion on what a parameter means."""
    ct = pytest.importorskip("coremltools")
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import Function

    with Function({}, opset_version=ct.target.iOS18):
        folded = getattr(Builder, name)(**arguments)
    folded = folded if isinstance(folded, list | tuple) else [folded]
    found = op(name)(**arguments)
    for mine, theirs in zip(found if isinstance(found, tuple) else (found,), folded, strict=True):
        close(np.asarray(mine), theirs.val)


def test_every_operation_has_a_test() -> None:
    assert set(OPERATIONS) - TESTED == set()
    assert TESTED - set(OPERATIONS) == set()
