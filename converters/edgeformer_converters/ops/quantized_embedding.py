"""QuantizedEmbedding: a lookup table of integers with a scale a row (symmetric or not)."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ._integer_buffers import IntegerBuffers
from .integer_weight import IntegerWeight


class QuantizedEmbedding(IntegerBuffers):
    """Stands where an ``nn.Embedding`` stood. ``weight`` is the float table [num_embeddings, embedding_dim]."""

    def __init__(self, weight: IntegerWeight, padding_idx: int | None = None) -> None:
        super().__init__(weight)
        self.num_embeddings, self.embedding_dim = weight.integers.shape
        self.padding_idx = padding_idx

    @property
    def weight(self) -> torch.Tensor:
        """float32 [num_embeddings, embedding_dim]."""
        return self.dequantized

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """int [...] to float32 [..., embedding_dim]."""
        return F.embedding(indices, self.dequantized)

    def extra_repr(self) -> str:
        """Shown by ``print(model)``."""
        return f"{self.num_embeddings}, {self.embedding_dim}, {self.format}"
