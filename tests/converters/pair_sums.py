"""ONNX Runtime's integer kernels on x86 without VNNI, emulated in numpy: what they compute of given bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1


def product_by_int8(x: NDArray[np.uint8], w: NDArray[np.int8]) -> NDArray[np.int64]:
    """x [M, K] · w [K, N] as VPMADDUBSW and VPMADDWD compute it: neighbouring products are added in 16 bits with
    saturation, their sums in 32.
    """
    if x.shape[1] % 2:
        x, w = np.pad(x, ((0, 0), (0, 1))), np.pad(w, ((0, 1), (0, 0)))
    products = x.astype(np.int64)[:, :, None] * w.astype(np.int64)  # [M, K, N]
    pairs = products[:, 0::2] + products[:, 1::2]
    return np.clip(pairs, INT16_MIN, INT16_MAX).sum(axis=1)


def product_by_uint8(x: NDArray[np.uint8], w: NDArray[np.uint8]) -> NDArray[np.int64]:
    """x [M, K] · w [K, N] as VPMADDWD computes it: both sides widened to 16 bits, pairs of products added in 32.

    VPMADDWD reads signed numbers; bytes widened with zeros are never negative ones.
    """
    wide_x, wide_w = x.astype(np.int16).astype(np.int32), w.astype(np.int16).astype(np.int32)
    return (wide_x @ wide_w).astype(np.int64)
