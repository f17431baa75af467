"""Scales that every format can carry: float16-representable, and in two levels per block.

Legend: R rows, G groups a row (1 per channel or per tensor).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeformer_converters.ops import WeightFormat

# float16's smallest normal number: below it, engines that flush subnormals would compute something else
SMALLEST_SCALE = np.float32(2.0**-14)
# a channel scale of 6 significant bits times a multiplier of 5 bits stays within float16's 11
_STEPS_PER_OCTAVE = 32


def round_up_to_float16(scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """The smallest float16 not below ``scale`` (so that the largest weight isn't clipped), as float32."""
    scale = np.maximum(scale, SMALLEST_SCALE).astype(np.float32)
    half = scale.astype(np.float16)
    below = half.astype(np.float32) < scale
    half = np.where(below, np.nextafter(half, np.float16(np.inf)), half)
    return np.asarray(half, dtype=np.float16).astype(np.float32)


def two_level_channel_scale(ideal: NDArray[np.float32], format: WeightFormat) -> NDArray[np.float32]:
    """Channel scale [R, 1] such that ``max_multiplier`` times it reaches the largest ideal block scale [R, G]."""
    wanted = np.maximum(ideal.max(axis=1, keepdims=True) / format.max_multiplier, SMALLEST_SCALE)
    octave = np.exp2(np.floor(np.log2(wanted)))
    steps = np.ceil(wanted / octave * _STEPS_PER_OCTAVE)
    return np.asarray(steps / _STEPS_PER_OCTAVE * octave, dtype=np.float32)


def block_multiplier_candidates(
    ideal: NDArray[np.float32], channel_scale: NDArray[np.float32], format: WeightFormat
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """The two integers around ideal / channel_scale, [R, G] each: the smaller one clips, the larger one is coarse."""
    ratio = ideal / channel_scale
    top = format.max_multiplier
    lower, upper = np.clip(np.floor(ratio), 1, top), np.clip(np.ceil(ratio), 1, top)
    return lower.astype(np.int8), upper.astype(np.int8)
