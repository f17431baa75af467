"""Choosing integers: one algorithm a file, all behind ``Quantizer``."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeformer_converters.ops import IntegerWeight, WeightFormat

from ..probing.activations import InputStatistics
from . import gptq, mse, rtn
from .gptq import GptqSettings


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
# algorithms with settings of their own, which are keys of the quantize pass
SETTINGS = {"gptq": GptqSettings}
# these choose by a layer's inputs on calibration rows, and can't quantize a layer that has none (an embedding)
NEEDS_INPUTS = frozenset({"gptq"})
WITHOUT_INPUTS = "mse"  # what they leave such layers to


def quantizer_for(algorithm: str, settings: GptqSettings | None = None, *, has_inputs: bool = True) -> Quantizer:
    """The algorithm with its settings (None for its defaults), or what stands in for it on a layer without inputs."""
    if algorithm in NEEDS_INPUTS and not has_inputs:
        return QUANTIZERS[WITHOUT_INPUTS]
    return QUANTIZERS[algorithm] if settings is None else settings.quantizer()


__all__ = ["NEEDS_INPUTS", "QUANTIZERS", "SETTINGS", "WITHOUT_INPUTS", "GptqSettings", "Quantizer", "quantizer_for"]
