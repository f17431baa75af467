"""A module that is local attention and nothing else, and inputs for it: what the tests of each format share."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from edgeformer_converters.base import ExportRequest, VariantPlan
from edgeformer_converters.ops.local_attention import LocalAttention, LocalPattern
from edgeformer_runtime.bundle.manifest import TensorSpec

# window, dilation with globals beyond short inputs, causal with scattered globals
PATTERNS = {
    "window": LocalPattern(3, 4),
    "dilated": LocalPattern(2, 2, 3, (0, 5, 40)),
    "causal": LocalPattern(6, 0, 1, (0, 1, 40), causal=True),
}
# full attention below 40 positions
SHORT_IS_FULL = LocalPattern(3, 4, 1, (0, 5), dense_below=40)


class Bare(torch.nn.Module):
    """Queries, keys and values are slices of the input [B, S, (H + 2 K) · D]."""

    def __init__(self, attention: LocalAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: torch.Tensor, keep: torch.Tensor) -> tuple[torch.Tensor]:
        layer = self.attention
        sizes = [heads * layer.head_dim for heads in (layer.heads, layer.kv_heads, layer.kv_heads)]
        parts = [
            part.reshape(*part.shape[:2], -1, layer.head_dim).transpose(1, 2) for part in torch.split(x, sizes, dim=-1)
        ]
        output = layer(*parts, keep)
        return (output.transpose(1, 2).reshape(*x.shape[:2], sizes[0]),)


def layer_of(
    pattern: LocalPattern, heads: int = 4, kv_heads: int = 4, bias: bool = False, full_below: int | None = 0
) -> LocalAttention:
    values = torch.randn(heads, pattern.window, generator=torch.Generator().manual_seed(1)) if bias else None
    return LocalAttention(
        pattern, heads=heads, kv_heads=kv_heads, head_dim=8, scale=8**-0.5, bias=values, full_below=full_below
    )


def inputs_for(layer: LocalAttention, batch: int, length: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """x, and keep with holes; the last sample keeps nothing at all when there are several."""
    generator = torch.Generator().manual_seed(seed)
    width = (layer.heads + 2 * layer.kv_heads) * layer.head_dim
    keep = (torch.rand(batch, length, generator=generator) < 0.8).float()
    if batch > 1:
        keep[-1] = 0
    return torch.randn(batch, length, width, generator=generator), keep


def request_for(layer: LocalAttention, format: str, lengths: tuple[int, ...], **chosen: object) -> ExportRequest:
    x, keep = inputs_for(layer, 2, 24, 0)
    return ExportRequest(
        module=Bare(layer).eval(),
        inputs=(
            TensorSpec("x", "float32", ("batch", "sequence", x.shape[2])),
            TensorSpec("keep", "float32", ("batch", "sequence")),
        ),
        outputs=(TensorSpec("y", "float32", ("batch", "sequence", layer.heads * layer.head_dim)),),
        example_inputs=(x, keep),
        sequence_lengths=lengths,
        plan=VariantPlan(format, format, (), chosen),
    )


def expected(request: ExportRequest, x: torch.Tensor, keep: torch.Tensor) -> NDArray[np.float32]:
    with torch.no_grad():
        result: NDArray[np.float32] = request.module(x, keep)[0].numpy()
    return result
