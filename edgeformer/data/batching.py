"""Rows in padded batches, for everything that runs the torch model over many rows: statistics, profiles, recovery.

Float arithmetic keeps the rows of a batch apart, and masked positions get no weight, so padding changes no result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..model.base import Model
from .encoded import EncodedSamples

BatchOutputs = tuple[torch.Tensor, ...]  # of a model for one batch, in the order of its outputs

BATCH_SIZE = 32
# pairs of positions in one batch: full attention holds that many weights for each head, 400 MB for 12 heads
_MAX_PAIRS = 32 * 512 * 512


@dataclass(frozen=True)
class Batch:
    """B rows padded to S positions.

    Args:
        tensors: one [B, S] a model input, in the model's order (any shape for a model of plain tensors).
        indices: which rows these are.
        real: bool [B, S], False at padding; None for a model of plain tensors, which is never padded.
    """

    tensors: tuple[torch.Tensor, ...]
    indices: tuple[int, ...]
    real: torch.Tensor | None


def padded_batches(model: Model, samples: EncodedSamples, size: int = BATCH_SIZE) -> list[Batch]:
    """All rows, those of like length together so that little is padded; every row in exactly one batch.

    A batch has ``size`` rows, fewer where they are longer than 512 tokens: full attention over them must fit in memory.
    """
    if not model.signature.padded:
        return [make_batch(model, samples, group) for group in _equal_shapes(model, samples, size)]
    lengths = [model.signature.row_length(row) for row in samples.feeds]
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    groups: list[list[int]] = []
    for index in order:
        if not groups or (len(groups[-1]) + 1) * lengths[index] ** 2 > _MAX_PAIRS or len(groups[-1]) == size:
            groups.append([])
        groups[-1].append(index)
    return [make_batch(model, samples, group) for group in groups]


def make_batch(model: Model, samples: EncodedSamples, indices: Sequence[int]) -> Batch:
    """Rows ``indices``, padded to the longest of them; where nothing says what is padding, they have one shape."""
    if not model.signature.padded:
        stacked = (
            np.concatenate([np.asarray(samples.feeds[index][spec.name]) for index in indices]) for spec in model.inputs
        )
        return Batch(tuple(map(torch.from_numpy, stacked)), tuple(indices), None)
    longest = max(model.signature.row_length(samples.feeds[index]) for index in indices)
    tensors = []
    for spec in model.inputs:
        array = np.full((len(indices), longest), spec.pad_value, dtype=spec.dtype)
        for row, index in enumerate(indices):
            values = samples.feeds[index][spec.name][0]
            array[row, : len(values)] = values
        tensors.append(torch.from_numpy(array))
    real = next(tensor for tensor, spec in zip(tensors, model.inputs, strict=True) if spec.role == "mask") > 0
    return Batch(tuple(tensors), tuple(indices), real)


def _equal_shapes(model: Model, samples: EncodedSamples, size: int) -> list[list[int]]:
    """Indices of rows in groups of one shape, at most ``size`` in one."""
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for index, row in enumerate(samples.feeds):
        groups.setdefault(tuple(np.shape(row[spec.name]) for spec in model.inputs), []).append(index)
    return [group[start : start + size] for group in groups.values() for start in range(0, len(group), size)]
