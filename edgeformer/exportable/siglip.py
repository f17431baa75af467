"""SigLIP: the attention that pools patches, in Linears that are quantized like others."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .stand_in import StandIn
from .vision import fix_images


class PoolingAttention(StandIn):
    """Stands where a torch.nn.MultiheadAttention stood, which holds its projections as one parameter.

    Legend: B rows, L queries, S keys, H heads, E values.
    """

    def __init__(self, attention: torch.nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads = attention.num_heads
        weights = attention.in_proj_weight.chunk(3)
        biases = attention.in_proj_bias.chunk(3)
        self.q_proj, self.k_proj, self.v_proj = (
            _linear(weight, bias) for weight, bias in zip(weights, biases, strict=True)
        )
        self.out_proj = _linear(attention.out_proj.weight, attention.out_proj.bias)

    def original(self) -> torch.nn.MultiheadAttention:
        """torch's own module."""
        projections = (self.q_proj, self.k_proj, self.v_proj)
        width, dtype = self.out_proj.out_features, self.out_proj.weight.dtype
        made = torch.nn.MultiheadAttention(width, self.heads, batch_first=True, dtype=dtype)
        with torch.no_grad():
            made.in_proj_weight.copy_(torch.cat([layer.weight for layer in projections]))
            made.in_proj_bias.copy_(torch.cat([layer.bias for layer in projections]))
            made.out_proj.weight.copy_(self.out_proj.weight)
            made.out_proj.bias.copy_(self.out_proj.bias)
        return made.requires_grad_(self.out_proj.weight.requires_grad)

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, None]:
        """float [B, L, E], [B, S, E] and [B, S, E] to [B, L, E]."""
        q, k, v = (self._split(x) for x in (self.q_proj(query), self.k_proj(key), self.v_proj(value)))
        scores = (q * q.shape[3] ** -0.5) @ k.transpose(2, 3)
        attended = (F.softmax(scores, dim=3) @ v).transpose(1, 2).flatten(2)
        return self.out_proj(attended), None

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """[B, S, E] to [B, H, S, E / H]."""
        return x.reshape(-1, x.shape[1], self.heads, x.shape[2] // self.heads).transpose(1, 2)


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> torch.nn.Linear:
    made = torch.nn.Linear(weight.shape[1], weight.shape[0], device="meta", dtype=weight.dtype)
    made.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)
    made.bias = torch.nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)
    return made


def make_exportable(module: torch.nn.Module, height: int, width: int) -> None:
    """Rewrite ``module``, in place, for images of ``height`` × ``width``; raises ModelError for sizes it can't take."""
    fix_images(module, height, width)
    for path, part in list(module.named_modules()):
        if type(part) is torch.nn.MultiheadAttention:
            parent, _, leaf = path.rpartition(".")
            setattr(module.get_submodule(parent), leaf, PoolingAttention(part))
