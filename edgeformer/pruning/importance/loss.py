"""The loss that Taylor importance derives: the task's own with labels, else the model's surprise at its own draws.

Without labels the distance to the model's own outputs is no use, its gradient is zero. But the distance that closing a
gate makes is, to second order, half the Fisher information of that gate: the mean square of ∂(−log p(y))/∂g with y
drawn from the model's own outputs (Kunstner 2019, eq. 3). For embeddings and values p is a Gaussian of variance one
around the output, which makes it the mean square of the output's change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from edgeformer_runtime.bundle.manifest import TaskSpec

from ...tasks.module import predicted_number

IGNORED = -100


def row_losses(
    task: TaskSpec,
    outputs: Sequence[torch.Tensor],
    real: torch.Tensor | None,
    targets: Sequence[Any] | None,
    generator: torch.Generator,
) -> torch.Tensor:
    """Loss of each row, float [B], differentiable.

    Args:
        task: what the outputs mean.
        outputs: as the model's callable module gives them, each [B, …].
        real: bool [B, S], False at padding.
        targets: as ``EncodedSamples`` holds them; None draws them from the outputs.
        generator: for the draws.
    """
    if task.name == "text-classification" and not task.regression:
        if task.multi_label:
            return _binary(outputs[0], targets, generator)
        labels = None if targets is None else torch.tensor(list(targets))
        return _cross_entropy(outputs[0][:, None], None if labels is None else labels[:, None], None, generator)
    if task.name == "token-classification":
        return _cross_entropy(outputs[0], _padded(targets, outputs[0].shape[1]), real, generator)
    if task.name == "question-answering":
        starts, ends = (None, None) if targets is None else _first_spans(targets)
        masked = [logits if real is None else logits.masked_fill(~real, -1e4) for logits in outputs]
        first = _cross_entropy(masked[0][:, None], starts, None, generator)
        return first + _cross_entropy(masked[1][:, None], ends, None, generator)
    if task.regression and targets is not None:
        wanted = torch.tensor([float(value) for value in targets])
        return 0.5 * (predicted_number(task, outputs[0]).reshape(-1) - wanted).square()
    return sum((_gaussian(output, generator) for output in outputs), torch.zeros(outputs[0].shape[0]))


def _cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor | None, real: torch.Tensor | None, generator: torch.Generator
) -> torch.Tensor:
    """Sum over positions: logits [B, S, L], labels int64 [B, S] (``IGNORED`` doesn't count)."""
    if labels is None:
        p = torch.softmax(logits.detach(), dim=-1)
        labels = torch.multinomial(p.reshape(-1, p.shape[-1]), 1, generator=generator).reshape(p.shape[:-1])
        if real is not None:
            labels = labels.masked_fill(~real, IGNORED)
    return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=IGNORED).sum(dim=1)


def _binary(logits: torch.Tensor, targets: Sequence[Any] | None, generator: torch.Generator) -> torch.Tensor:
    """Sum over labels, each of which is there or not: logits [B, L]."""
    wanted = torch.zeros_like(logits)
    if targets is None:
        wanted = torch.bernoulli(torch.sigmoid(logits.detach()), generator=generator)
    else:
        for row, labels in enumerate(targets):
            wanted[row, list(labels)] = 1.0
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(dim=1)


def _gaussian(output: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Up to a constant, −log density at a draw: ½‖y + z − y‖² whose gradient is −z·∂y."""
    z = torch.randn(output.shape, generator=generator)
    return 0.5 * (output.detach() + z - output).square().reshape(output.shape[0], -1).sum(dim=1)


def _padded(targets: Sequence[Any] | None, length: int) -> torch.Tensor | None:
    """Labels of each row's tokens as int64 [B, S]; -1 (no first token of a word) and padding become ``IGNORED``."""
    if targets is None:
        return None
    labels = torch.full((len(targets), length), IGNORED)
    for row, values in enumerate(targets):
        labels[row, : len(values)] = torch.tensor(values)
    return labels.masked_fill(labels < 0, IGNORED)


def _first_spans(targets: Sequence[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    spans = torch.tensor([row[0] for row in targets])
    return spans[:, :1], spans[:, 1:]
