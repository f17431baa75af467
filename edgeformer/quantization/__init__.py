"""Choosing integers: one algorithm a file, all behind ``Quantizer``."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeformer_converters.ops import IntegerWeight, WeightFormat

from . import mse, rtn


class Quantizer(Protocol):
    """From a float32 matrix [R, C] to integers in a given format."""

    def __call__(self, weight: NDArray[np.float32], format: WeightFormat) -> IntegerWeight:
        """Raises InputError when the weight holds NaN or doesn't fit the format."""


QUANTIZERS: dict[str, Quantizer] = {"rtn": rtn.quantize, "mse": mse.quantize}

__all__ = ["QUANTIZERS", "Quantizer"]
