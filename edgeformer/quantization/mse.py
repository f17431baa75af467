"""Clip search: for each channel or block, the range that minimises the squared error of the weights.

The grid search over shrink factors follows "optimal clipping" of Banner et al. 2019 (section 3), done on the weights
themselves in place of an assumed distribution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeformer_converters.ops import IntegerWeight, WeightFormat

from ..probing.activations import InputStatistics
from . import rtn

# Per channel or block, 255 levels are so many that clipping gains under 0.2 % of the error: not worth 21 times the
# work.
_ENOUGH_BITS = 8
SHRINK_FACTORS = tuple(np.linspace(1.0, 0.5, 21))


def quantize(weight: NDArray[np.float32], format: WeightFormat, inputs: InputStatistics | None = None) -> IntegerWeight:
    """Quantize float32 [R, C] with the best of ``SHRINK_FACTORS`` for each group; raises what ``rtn`` raises.

    ``inputs`` is not used: every weight counts alike.
    """
    return clip_search(weight, format)


def clip_search(
    weight: NDArray[np.float32], format: WeightFormat, importance: NDArray[np.float64] | None = None
) -> IntegerWeight:
    """The clip search with the squared error of column j counted ``importance[j]`` times, float64 [C]."""
    if format.bits >= _ENOUGH_BITS and format.granularity != "tensor":
        return rtn.quantize(weight, format)
    rows = weight.shape[0]
    best_error: NDArray[np.float64] | None = None
    best_shrink: NDArray[np.float32] | None = None
    for factor in SHRINK_FACTORS:
        candidate = rtn.quantize(weight, format, shrink=float(factor))
        squared = np.square(candidate.dequantize() - weight, dtype=np.float64)
        if importance is not None:
            squared *= importance
        shape = (1, 1, -1) if format.granularity == "tensor" else (rows, candidate.groups, -1)
        error = squared.reshape(shape).sum(axis=-1)
        if best_error is None or best_shrink is None:
            best_error, best_shrink = error, np.full(error.shape, factor, np.float32)
            continue
        better = error < best_error
        best_error = np.where(better, error, best_error)
        best_shrink = np.where(better, np.float32(factor), best_shrink)
    return rtn.quantize(weight, format, shrink=1.0 if best_shrink is None else best_shrink)
