"""Which weights ONNX Runtime multiplies exactly on every CPU, and the form that the others take.

On x86 without VNNI (most PCs before 2021, AMD before Zen 4, many servers) its kernels for uint8 activations and int8
weights add two neighbouring products in 16 bits (the instruction VPMADDUBSW), and what doesn't fit is cut off:

    |a₀·w₀ + a₁·w₁| ≤ 2 · 255 · max |w| ≤ 2¹⁵ − 1    holds for every activation just when max |w| ≤ 64

Its kernels for uint8 weights widen both sides first and add in 32 bits. So weights that may be larger are stored as
uint8 with 128 as their zero: the same integers, the same bytes but for the highest bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..ops import WeightFormat

UINT8_ZERO = 128
LARGEST_EXACT_INT8 = (2**15 - 1) // (2 * 255)  # 64


def is_exact_as_int8(format: WeightFormat) -> bool:
    """Whether no integer that a product of this format sees, zero point taken off and blocks multiplied out, is beyond
    ``LARGEST_EXACT_INT8``.
    """
    low, high = format.integer_range
    largest = high if format.symmetric else high - low
    return format.bits == 4 and format.granularity != "block" and largest <= LARGEST_EXACT_INT8


def to_uint8(integers: NDArray[np.int8]) -> NDArray[np.uint8]:
    """q + 128, of the same shape."""
    return (integers.astype(np.int16) + UINT8_ZERO).astype(np.uint8)


def from_uint8(stored: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The inverse of ``to_uint8``."""
    return (stored.astype(np.int16) - UINT8_ZERO).astype(np.int8)
