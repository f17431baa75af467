"""LayerNorm in ten operators, where litert-torch's own form takes fourteen.

The converter writes x·r − mean·r with r = 1/σ, which makes small products and their reshapes between large operators:
each is one more dispatch, and with several threads one more rendezvous. Deviations first (x − mean) also subtracts no
large products. MiniLM at 64 tokens takes 2 to 4 % less time.
"""

from __future__ import annotations

import torch


class DeviationsFirst(torch.nn.Module):
    """What ``norm``, an nn.LayerNorm over its last axis, computes: Ba et al. 2016, equation 4."""

    def __init__(self, norm: torch.nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float [..., width] to the same."""
        deviation = x - x.mean(-1, keepdim=True)
        variance = (deviation * deviation).mean(-1, keepdim=True)
        result = deviation * torch.rsqrt(variance + self.norm.eps)
        for parameter, apply in ((self.norm.weight, torch.mul), (self.norm.bias, torch.add)):
            result = result if parameter is None else apply(result, parameter)
        return result


def layer_norms(module: torch.nn.Module) -> list[torch.nn.LayerNorm]:
    """Those that DeviationsFirst can stand for. A subclass may compute something else."""
    return [part for part in module.modules() if type(part) is torch.nn.LayerNorm and len(part.normalized_shape) == 1]
