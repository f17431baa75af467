"""QuantizedLinear: y = x · dequantize(q)ᵀ + bias, with activations quantized to int8 at run time by the engine."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ._integer_buffers import IntegerBuffers
from .integer_weight import IntegerWeight


class QuantizedLinear(IntegerBuffers):
    """Stands where an ``nn.Linear`` stood.

    In torch it computes with the dequantized float weight and float activations; that is the reference an exported
    variant is compared with. ``weight`` is the float matrix [out_features, in_features], for code that only reads
    its shape or dtype.
    """

    bias: torch.nn.Parameter | None

    def __init__(self, weight: IntegerWeight, bias: torch.Tensor | None) -> None:
        super().__init__(weight)
        self.out_features, self.in_features = weight.integers.shape
        self.bias = None if bias is None else torch.nn.Parameter(bias.detach().clone().float(), requires_grad=False)

    @property
    def weight(self) -> torch.Tensor:
        """float32 [out_features, in_features]."""
        return self.dequantized

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float [..., in_features] to float [..., out_features]."""
        return F.linear(x, self.dequantized, self.bias)

    def extra_repr(self) -> str:
        """Shown by ``print(model)``."""
        return f"{self.in_features}, {self.out_features}, {self.format}, bias={self.bias is not None}"
