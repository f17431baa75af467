"""Round to nearest: the baseline that every better algorithm is compared with.

Symmetric (James 2026, section on quantization; Jacob et al. 2018, eq. 1 with zero point 0):
    s = max|w| / (2^(b-1) - 1),   q = clip(round(w / s))
Asymmetric (Jacob et al. 2018, eq. 1):
    s = (max w - min w) / (2^b - 1),   z = round(q_min - min w / s),   q = clip(round(w / s) + z)
The range always includes 0, so that a zero weight stays exactly zero.

Legend: R rows, C columns, G groups a row, B columns a group.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeformer_converters.ops import IntegerWeight, WeightFormat

from ..errors import InputError
from .scales import block_multiplier_candidates, round_up_to_float16, two_level_channel_scale

Float = NDArray[np.float32]


def quantize(weight: Float, format: WeightFormat, shrink: Float | float = 1.0) -> IntegerWeight:
    """Quantize a matrix.

    Args:
        weight: float32 [R, C].
        format: bits, symmetry, granularity. C must be a multiple of its block size.
        shrink: factor on the range, [R, G] or one number; below 1 it clips the largest weights to gain resolution.

    Raises:
        InputError: NaN or infinity in the weight, not a matrix, or C doesn't fit the blocks.
    """
    grouped = _grouped(weight, format)
    low = np.minimum(grouped.min(axis=-1), 0) * shrink
    high = np.maximum(grouped.max(axis=-1), 0) * shrink
    q_low, q_high = format.integer_range
    ideal = (np.maximum(-low, high) / q_high if format.symmetric else (high - low) / (q_high - q_low)).astype(
        np.float32
    )
    if format.granularity != "block":
        return _finish(weight, grouped, format, low, round_up_to_float16(ideal))
    if format.bits == 8:
        block_scale = round_up_to_float16(ideal)
        return _finish(weight, grouped, format, low, block_scale, block_scale=block_scale)
    return _two_level(weight, grouped, format, low, ideal)


def _grouped(weight: Float, format: WeightFormat) -> Float:
    """[R, G, B] ([1, 1, R*C] per tensor)."""
    if weight.ndim != 2:
        raise InputError(f"quantize: expected a matrix, got shape {weight.shape}")
    if not np.isfinite(weight).all():
        raise InputError(f"quantize: the weight of shape {weight.shape} holds NaN or infinite values")
    rows, columns = weight.shape
    if format.granularity == "tensor":
        return weight.reshape(1, 1, -1)
    block_size = format.block_size or columns
    if columns % block_size:
        raise InputError(f"quantize: {columns} input channels can't be cut into blocks of {block_size}")
    return weight.reshape(rows, columns // block_size, block_size)


def _integers(grouped: Float, format: WeightFormat, low: Float, scale: Float) -> tuple[Float, Float | None]:
    """Rounded integers [R, G, B] and zero points [R, G] (None when symmetric), as floats."""
    q_low, q_high = format.integer_range
    if format.symmetric:
        return np.clip(np.rint(grouped / scale[..., None]), q_low, q_high), None
    zero_point = np.clip(np.rint(q_low - low / scale), q_low, q_high)
    return np.clip(np.rint(grouped / scale[..., None]) + zero_point[..., None], q_low, q_high), zero_point


def _finish(
    weight: Float,
    grouped: Float,
    format: WeightFormat,
    low: Float,
    scale: Float,
    block_scale: Float | None = None,
) -> IntegerWeight:
    integers, zero_point = _integers(grouped, format, low, scale)
    return IntegerWeight(
        format=format,
        integers=integers.reshape(weight.shape).astype(np.int8),
        channel_scale=scale if block_scale is None else scale.max(axis=1, keepdims=True),
        zero_point=None if zero_point is None else zero_point.astype(np.int8),
        block_scale=block_scale,
    )


def _two_level(weight: Float, grouped: Float, format: WeightFormat, low: Float, ideal: Float) -> IntegerWeight:
    """Of the two multipliers around the ideal block scale take, block by block, the one with less squared error."""
    channel_scale = two_level_channel_scale(ideal, format)
    tried = []
    for multiplier in block_multiplier_candidates(ideal, channel_scale, format):
        scale = (channel_scale * multiplier).astype(np.float32)
        integers, zero_point = _integers(grouped, format, low, scale)
        centred = integers if zero_point is None else integers - zero_point[..., None]
        error = np.square(centred * scale[..., None] - grouped).sum(axis=-1)
        tried.append((error, multiplier, integers, zero_point))
    (error_a, m_a, q_a, z_a), (error_b, m_b, q_b, z_b) = tried
    first = error_a <= error_b
    chosen_zero = None if z_a is None or z_b is None else np.where(first, z_a, z_b).astype(np.int8)
    return IntegerWeight(
        format=format,
        integers=np.where(first[..., None], q_a, q_b).reshape(weight.shape).astype(np.int8),
        channel_scale=channel_scale,
        block_multiplier=np.where(first, m_a, m_b).astype(np.int8),
        zero_point=chosen_zero,
    )
