"""Two 4-bit integers a byte, in the form that operators of every ONNX Runtime from 1.19 on can take apart.

A byte at position i holds element i of the first half of an axis in its low nibble and element i of the
second half in its high nibble, both plus 8. Halves, and not neighbours, because joining two halves is one
``Concat``. An odd axis is padded with one zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# added to a signed 4-bit integer so that a nibble is unsigned
OFFSET = 8


def pack(integers: NDArray[np.int8], axis: int) -> NDArray[np.uint8]:
    """int8 [..., n, ...] within -8…7 to uint8 [..., (n + 1) // 2, ...]."""
    if integers.shape[axis] % 2:
        padding = [(0, 0)] * integers.ndim
        padding[axis] = (0, 1)
        integers = np.pad(integers, padding)
    low, high = np.split((integers.astype(np.int16) + OFFSET).astype(np.uint8), 2, axis=axis)
    return np.asarray(low | (high << 4), dtype=np.uint8)


def unpack(packed: NDArray[Any], axis: int, size: int) -> NDArray[np.int8]:
    """The inverse of ``pack``; ``size`` is the length of the unpacked axis."""
    nibbles = np.concatenate([packed & 15, packed >> 4], axis=axis).astype(np.int8) - OFFSET
    return np.asarray(np.take(nibbles, range(size), axis=axis), dtype=np.int8)
