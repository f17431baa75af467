"""Keeping an IntegerWeight inside a torch module as buffers, shared by the quantized linear and embedding."""

from __future__ import annotations

import numpy as np
import torch

from .integer_weight import IntegerWeight, WeightFormat


class IntegerBuffers(torch.nn.Module):
    """A module that owns one IntegerWeight. ``state_dict`` carries the integers; the float form is derived."""

    integers: torch.Tensor
    channel_scale: torch.Tensor
    block_multiplier: torch.Tensor | None
    zero_point: torch.Tensor | None
    block_scale: torch.Tensor | None
    dequantized: torch.Tensor

    def __init__(self, weight: IntegerWeight) -> None:
        super().__init__()
        self.format: WeightFormat = weight.format
        for name in ("integers", "channel_scale", "block_multiplier", "zero_point", "block_scale"):
            array = getattr(weight, name)
            self.register_buffer(name, None if array is None else torch.from_numpy(np.array(array)))
        self.register_buffer("dequantized", torch.from_numpy(weight.dequantize()), persistent=False)

    def integer_weight(self) -> IntegerWeight:
        """The integers and scales as numpy arrays."""

        def array(tensor: torch.Tensor | None) -> np.ndarray | None:
            return None if tensor is None else tensor.detach().cpu().numpy().copy()

        integers, channel_scale = array(self.integers), array(self.channel_scale)
        if integers is None or channel_scale is None:
            raise RuntimeError("integers and channel_scale are always present")
        return IntegerWeight(
            format=self.format,
            integers=integers,
            channel_scale=channel_scale,
            block_multiplier=array(self.block_multiplier),
            zero_point=array(self.zero_point),
            block_scale=array(self.block_scale),
        )

    def dequantize(self) -> torch.Tensor:
        """float32 [R, C]: the weight that the integers stand for, the reference of every verification."""
        return self.dequantized
