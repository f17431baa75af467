"""First-order Taylor with gates (Molchanov 2019, eq. 8; head gates as in Michel 2019, section 4.1).

A gate of 1 multiplies each head's output and each channel; closing it changes a row's loss by about ∂L/∂g. The score is
the mean over rows of (∂L/∂g)², in squared loss, so that it means the same in every block.

The loss is the task's own with labels, else the model's surprise at its own draws. The distance to its own outputs is
no use, its gradient is zero; but the distance that closing a gate makes is, to second order, half the gate's Fisher
information: the mean square of ∂(−log p(y))/∂g with y drawn from the model's own outputs (Kunstner 2019, eq. 3). For
embeddings and values p is a Gaussian of variance one around the output, which makes it the mean square of its change.

Legend: B rows of a batch, S positions, H heads, F channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch

from ...data.batching import Batch, padded_batches
from ...data.encoded import EncodedSamples
from ...errors import InputError, ModelError
from ...families import Block
from ...model.base import Model
from ...tasks import get_task
from ..units import BlockScores


def taylor(model: Model, blocks: Sequence[Block], rows: EncodedSamples | None, seed: int) -> list[BlockScores]:
    """Mean squared derivative of each row's loss by each gate; rows without labels lose at draws."""
    if rows is None:
        raise InputError("importance taylor: needs calibration rows")
    module = model.callable_module()
    generator = torch.Generator().manual_seed(seed)
    sums: dict[str, torch.Tensor] = {}
    with ExitStack() as stack:
        gates: dict[str, torch.Tensor] = {}
        size: list[int] = []  # rows of the present batch
        for block in blocks:
            for path, units in ((block.output, block.heads), (block.down, block.channels)):
                layer = model.module.get_submodule(path)
                hook = partial(_gate, gates=gates, size=size, path=path, units=units)
                stack.callback(layer.register_forward_pre_hook(hook).remove)
        for batch in padded_batches(model, rows):
            gates.clear()
            size[:] = [len(batch.indices)]
            _add_squares(module, model, batch, rows, generator, gates, sums)
    missing = [block.path for block in blocks if block.output not in sums or block.down not in sums]
    if missing:
        raise ModelError(f"block {missing[0]}: never ran on the calibration rows, so nothing is known of its units")
    count = len(rows.feeds)
    return [BlockScores(sums[block.output] / count, sums[block.down] / count) for block in blocks]


def _gate(
    layer: torch.nn.Module, inputs: tuple[Any, ...], *, gates: Any, size: list[int], path: str, units: int
) -> tuple[Any, ...]:
    x = inputs[0]
    rows = size[0]
    if x.dim() != 3 or x.shape[0] % rows:
        raise ModelError(f"layer {path}: expected inputs [rows, positions, values], got {tuple(x.shape)}")
    gates[path] = torch.ones(rows, units, dtype=x.dtype, requires_grad=True)
    spread = gates[path].repeat_interleave(x.shape[2] // units, dim=1)
    # a row in windows, one after the other, has one gate for all of them
    return (x * spread.repeat_interleave(x.shape[0] // rows, dim=0)[:, None, :], *inputs[1:])


def _add_squares(
    module: torch.nn.Module,
    model: Model,
    batch: Batch,
    rows: EncodedSamples,
    generator: torch.Generator,
    gates: dict[str, torch.Tensor],
    sums: dict[str, torch.Tensor],
) -> None:
    with torch.enable_grad():
        outputs = module(*batch.tensors)
        targets = None if rows.targets is None else [rows.targets[index] for index in batch.indices]
        losses = get_task(model.task).row_losses(outputs, batch.real, targets, generator)
        paths = list(gates)
        # rows don't meet inside the model, so the gradient of the sum by a row's gates is that row's own
        gradients = torch.autograd.grad(losses.sum(), [gates[path] for path in paths])
    for path, gradient in zip(paths, gradients, strict=True):
        if not torch.isfinite(gradient).all():
            raise InputError(f"layer {path}: NaN or infinite gradients on calibration rows: check the model's weights")
        squares = gradient.double().square().sum(dim=0)
        sums[path] = sums[path] + squares if path in sums else squares
