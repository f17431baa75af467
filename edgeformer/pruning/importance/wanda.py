"""Wanda (Sun 2023, eq. 1): a weight matters by |w|·‖x‖, with x its input over the calibration rows.

For a whole column j of a linear the squares add up to ‖w_j‖²·‖x_j‖²: the energy that the channel puts into the
output. A head has the columns of the output projection that read it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...data.batching import padded_batches
from ...data.encoded import EncodedSamples
from ...errors import InputError
from ...families import Block
from ...model.base import Model
from ...probing.activations import InputStatistics, input_statistics
from ..units import BlockScores, linear


def wanda(model: Model, blocks: Sequence[Block], rows: EncodedSamples | None, seed: int) -> list[BlockScores]:
    """Energy of each head and channel in the outputs of the linears that read them, a mean over tokens."""
    if rows is None:
        raise InputError("importance wanda: needs calibration rows")
    paths = [path for block in blocks for path in (block.output, block.down)]
    statistics = input_statistics(model, padded_batches(model, rows), paths)
    return [
        BlockScores(
            heads=_energy(model, block.output, statistics).reshape(block.heads, block.head_dim).sum(dim=1),
            channels=_energy(model, block.down, statistics),
        )
        for block in blocks
    ]


def _energy(model: Model, path: str, statistics: dict[str, InputStatistics]) -> torch.Tensor:
    """float64 [in_features]."""
    weight = linear(model.module, path).weight.detach().double()
    return weight.square().sum(dim=0) * statistics[path].square_mean
