"""Bias correction: take the mean error that rounded weights leave in a layer's output out of its bias.

Nagel et al. 2019, section 4.2: E[Ŵx] − E[Wx] = (Ŵ − W)·E[x], so subtracting it from the bias removes the shift.

Legend: R rows, C input channels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from edgeformer_converters.ops import IntegerWeight

from ..probing.activations import InputStatistics


def correction(weight: NDArray[np.float32], quantized: IntegerWeight, inputs: InputStatistics) -> torch.Tensor:
    """What to add to the bias: (W − Ŵ)·E[x], float32 [R]."""
    error = torch.from_numpy(weight).double() - torch.from_numpy(quantized.dequantize()).double()
    return (error @ inputs.mean).float()
