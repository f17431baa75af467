"""MIL's matrix products, normalisations, attention, convolution and weight decompression in numpy.

Parameters are named as in the MIL operation reference; float arrays are float32.

Large products go through torch on the same memory: it has the error function that gelu needs, and its threads
beside those of numpy's BLAS would be two pools that fight for the same cores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """x [..., C], weight [R, C], bias [R] to x · weightᵀ + bias, [..., R]."""
    offset = None if bias is None else _tensor(bias)
    return np.asarray(torch.nn.functional.linear(_tensor(x), _tensor(weight), offset).numpy())


def matmul(x: Array, y: Array, transpose_x: bool = False, transpose_y: bool = False) -> Array:
    """The product of the last two axes; the other axes are broadcast."""
    left = _tensor(np.swapaxes(x, -1, -2) if transpose_x and np.ndim(x) > 1 else x)
    right = _tensor(np.swapaxes(y, -1, -2) if transpose_y and np.ndim(y) > 1 else y)
    return np.asarray(torch.matmul(left, right).numpy())


def einsum(values: Sequence[Array], equation: str) -> Array:
    """The sum of products that ``equation`` writes."""
    return np.asarray(np.einsum(equation, *values, optimize=True))


def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x) divided by its sum along ``axis``, shifted by the maximum so that nothing overflows."""
    result: Array = x - x.max(axis=int(axis), keepdims=True)
    np.exp(result, out=result)
    result /= result.sum(axis=int(axis), keepdims=True)
    return result


def layer_norm(
    x: Array,
    axes: Array | None = None,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float = 1e-5,
) -> Array:
    """Zero mean and unit variance over ``axes`` (all of them by default), then ``gamma`` and ``beta``."""
    over = tuple(range(x.ndim)) if axes is None else tuple(int(axis) for axis in np.ravel(axes))
    result: Array = x - x.mean(axis=over, keepdims=True, dtype=np.float32)
    variance = np.square(result).mean(axis=over, keepdims=True, dtype=np.float32)
    result /= np.sqrt(variance + np.float32(epsilon))
    if gamma is not None:
        result *= gamma
    if beta is not None:
        result += beta
    return result


def batch_norm(
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float = 1e-5,
) -> Array:
    """Normalise each channel (axis 1) by the given statistics."""

    def channels(vector: Array) -> Array:
        return vector.reshape(1, -1, *([1] * (x.ndim - 2)))

    result: Array = (x - channels(mean)) / np.sqrt(channels(variance) + np.float32(epsilon))
    if gamma is not None:
        result = result * channels(gamma)
    return result if beta is None else result + channels(beta)


def l2_norm(x: Array, epsilon: float = 1e-6) -> Array:
    """x / sqrt(sum of squares over the last three axes + epsilon)."""
    squares = np.square(x).sum(axis=(-3, -2, -1), keepdims=True, dtype=np.float32)
    return np.asarray(x / np.sqrt(squares + np.float32(epsilon)))


def scaled_dot_product_attention(query: Array, key: Array, value: Array, attn_mask: Array | None = None) -> Array:
    """softmax(query · keyᵀ / √E + mask) · value (Vaswani et al. 2017, eq. 1).

    query [B, …, L, E], key [B, …, S, E], value [B, …, S, V]; a boolean mask says which keys count, a float
    mask is added to the scores.
    """
    scores = matmul(query, key, transpose_y=True) * np.float32(1 / math.sqrt(query.shape[-1]))
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == np.bool_ else scores + attn_mask
    return matmul(softmax(scores), value)


def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Array | None = None,
    pad_type: str = "valid",
    pad: Array | None = None,
    dilations: Array | None = None,
    groups: int = 1,
) -> Array:
    """Convolution over one or two spatial axes: x [B, C, *D], weight [R, C / groups, *K] to [B, R, *D']."""
    spatial = x.ndim - 2
    steps = _sizes(strides, spatial)
    spread = _sizes(dilations, spatial)
    kernel = [(size - 1) * factor + 1 for size, factor in zip(weight.shape[2:], spread, strict=True)]
    if pad_type == "custom" and pad is not None:
        pairs = [(int(a), int(b)) for a, b in np.reshape(pad, (spatial, 2))]
    elif pad_type == "valid":
        pairs = [(0, 0)] * spatial
    else:
        pairs = [
            _same_padding(size, k, s, lower=pad_type == "same_lower")
            for size, k, s in zip(x.shape[2:], kernel, steps, strict=True)
        ]
    padded = _tensor(np.pad(x, [(0, 0), (0, 0), *pairs]))
    convolve = torch.nn.functional.conv1d if spatial == 1 else torch.nn.functional.conv2d
    offset = None if bias is None else _tensor(bias)
    result = convolve(padded, _tensor(weight), offset, steps, 0, spread, int(groups))
    return np.asarray(result.numpy())


def _tensor(array: Array) -> torch.Tensor:
    """The array as a torch tensor, on the same memory where torch can."""
    if any(stride < 0 for stride in array.strides) or not array.flags.writeable:
        array = array.copy()
    return torch.from_numpy(array)


def _sizes(values: Array | None, count: int) -> list[int]:
    return [1] * count if values is None else [int(value) for value in np.ravel(values)]


def _same_padding(size: int, kernel: int, step: int, lower: bool) -> tuple[int, int]:
    """Padding for an output of ceil(size / step); the odd element goes before where ``lower``, else after."""
    total = max((-(-size // step) - 1) * step + kernel - size, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


def constexpr_blockwise_shift_scale(data: Array, scale: Array, offset: Array | None = None) -> Array:
    """scale * (data - offset); scale and offset [G0, G1, …] each stand for a block of data [R0, R1, …]."""
    result: Array = data.astype(np.float32)
    if offset is not None:
        result -= _spread(offset.astype(np.float32), data.shape)
    result *= _spread(scale, data.shape)
    return result


def constexpr_affine_dequantize(quantized_data: Array, zero_point: Array, scale: Array, axis: int) -> Array:
    """scale * (quantized_data - zero_point); scale and zero point are scalars or vectors along ``axis``."""
    shape = [1] * quantized_data.ndim
    shape[int(axis)] = -1
    offset, factor = (np.asarray(each, np.float32).reshape(shape) for each in (zero_point, scale))
    return np.asarray((quantized_data.astype(np.float32) - offset) * factor)


def _spread(blocks: Array, shape: Sequence[int]) -> Array:
    """Repeat each entry along each axis to reach ``shape``; axes of size 1 are left to broadcasting."""
    for axis, (groups, size) in enumerate(zip(blocks.shape, shape, strict=True)):
        if groups not in (1, size):
            blocks = np.repeat(blocks, size // groups, axis=axis)
    return blocks


OPERATIONS: Mapping[str, Callable[..., Array]] = {
    "batch_norm": batch_norm,
    "constexpr_affine_dequantize": constexpr_affine_dequantize,
    "constexpr_blockwise_shift_scale": constexpr_blockwise_shift_scale,
    "conv": conv,
    "einsum": einsum,
    "l2_norm": l2_norm,
    "layer_norm": layer_norm,
    "linear": linear,
    "matmul": matmul,
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "softmax": softmax,
}
