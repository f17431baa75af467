"""Choosing integers: one algorithm a file, all behind ``Quantizer``."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeformer_converters.ops import IntegerWeight, WeightFormat

from ..probing.activations import InputStatistics
from . import gptq, mse, rtn


class Quantizer(Protocol):
    """From a float32 matrix [R, C] to integers in a given format."""

    def __call__(
        self, weight: NDArray[np.float32], format: WeightFormat, inputs: InputStatistics | None = None
    ) -> IntegerWeight:
        """``inputs`` is what flows into the layer, with its gram matrix, for those of ``NEEDS_INPUTS``.

        Raises InputError when the weight holds NaN or doesn't fit the format, or the inputs are missing.
        """


def _round_to_nearest(
    weight: NDArray[np.float32], format: WeightFormat, inputs: InputStatistics | None = None
) -> IntegerWeight:
    return rtn.quantize(weight, format)


QUANTIZERS: dict[str, Quantizer] = {"rtn": _round_to_nearest, "mse": mse.quantize, "gptq": gptq.quantize}
# these choose by a layer's inputs on calibration rows, and can't quantize a layer that has none (an embedding)
NEEDS_INPUTS = frozenset({"gptq"})
WITHOUT_INPUTS = "mse"  # what they leave such layers to

__all__ = ["NEEDS_INPUTS", "QUANTIZERS", "WITHOUT_INPUTS", "Quantizer"]
