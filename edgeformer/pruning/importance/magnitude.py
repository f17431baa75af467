"""Magnitude: large weights matter. Needs no data, and is the baseline (Li 2017, "Pruning Filters")."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...data.encoded import EncodedSamples
from ...families import Block
from ...model.base import Model
from ..units import BlockScores, linear


def magnitude(model: Model, blocks: Sequence[Block], rows: EncodedSamples | None, seed: int) -> list[BlockScores]:
    """Sum of the squared weights of each head (its rows of Q, K and V, its columns of the output) and channel."""
    scores = []
    for block in blocks:
        inner = [_squares(model, path, dim=1) for path in (block.query, block.key, block.value)]
        inner.append(_squares(model, block.output, dim=0))
        channels = sum(_squares(model, path, dim=1) for path in block.up) + _squares(model, block.down, dim=0)
        heads = torch.stack(inner).sum(dim=0).reshape(block.heads, block.head_dim).sum(dim=1)
        scores.append(BlockScores(heads, channels))
    return scores


def _squares(model: Model, path: str, dim: int) -> torch.Tensor:
    return linear(model.module, path).weight.detach().double().square().sum(dim=dim)
