"""What a student loses against its teacher and against labels: the losses of recovery.

Every loss is a mean that doesn't depend on how rows are batched or padded, and scale-free or in nats, so that one set
of weights suits models of different widths.

Legend: B rows, S positions, K labels, H hidden size, N real positions of the batch (padding doesn't count).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..tasks.module import MASKED, predicted_number

Outputs = Sequence[torch.Tensor]


def response_loss(
    task: TaskSpec, student: Outputs, teacher: Outputs, real: torch.Tensor, temperature: float
) -> torch.Tensor:
    """How far the student's outputs are from the teacher's; a scalar, 0 where they are equal.

    classification          T² · KL(softmax(t/T) ‖ softmax(s/T)), Hinton et al. 2015, "Distilling the Knowledge in a
                            Neural Network", section 2: T² keeps the gradients' size whatever the temperature. Mean over
                            rows, over real tokens for token classification, over start and end for question answering
    several labels at once  the same for each label's sigmoid, summed over labels
    regression              (s − t)²
    feature extraction      ‖s − t‖² / ‖t‖², which is 2 · (1 − cosine) for normalized embeddings

    Args:
        task: decides the formula.
        student: one tensor an output: logits [B, K] or [B, S, K], start and end [B, S] each, or an embedding [B, H].
        teacher: the same shapes.
        real: bool [B, S], False at padding.
        temperature: T above 0; larger shows more of what the teacher thinks of wrong answers.
    """
    if task.name == "question-answering":
        parts = [_kl(_masked(s, real), _masked(t, real), temperature) for s, t in zip(student, teacher, strict=True)]
        return torch.stack(parts).mean()
    s, t = student[0], teacher[0]
    if task.name == "feature-extraction":
        return ((s - t).square().sum(-1) / t.square().sum(-1).clamp(min=1e-12)).mean()
    if task.name == "token-classification":
        return _kl(s[real], t[real], temperature)
    if task.regression:
        return (s - t).square().mean()
    if task.multi_label:
        both_s, both_t = (torch.stack((x, torch.zeros_like(x)), dim=-1) for x in (s, t))
        return _kl(both_s, both_t, temperature) * s.shape[-1]
    return _kl(s, t, temperature)


def feature_loss(student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], real: torch.Tensor) -> torch.Tensor:
    """Σ(s − t)² / Σt² over real positions, mean over mapped blocks; a scalar.

    The squared distance of hidden states of FitNets (Romero et al. 2015, eq. 3) and TinyBERT (Jiao et al. 2020, eq. 8;
    no projection: compression keeps the hidden size), divided by the teacher's own energy so that a family with large
    hidden states isn't weighted more.

    Args:
        student: one [B, S, H] a mapped block.
        teacher: the same shapes, in the same order.
        real: bool [B, S], False at padding.
    """
    parts = [
        (s[real] - t[real]).square().sum() / t[real].square().sum().clamp(min=1e-12)
        for s, t in zip(student, teacher, strict=True)
    ]
    return torch.stack(parts).mean()


def label_loss(task: TaskSpec, student: Outputs, targets: Sequence[Any], real: torch.Tensor) -> torch.Tensor | None:
    """Cross-entropy with the rows' labels, (s − label)² for regression; None where a task or batch has none to learn.

    Args:
        task: decides the formula.
        student: outputs as in ``response_loss``.
        targets: B targets as ``EncodedSamples`` holds them.
        real: bool [B, S], False at padding.
    """
    logits = student[0]
    if task.name == "feature-extraction":
        return None  # scores of pairs say nothing of one row's embedding
    if task.name == "question-answering":
        first = torch.tensor([spans[0] for spans in targets])
        ends = [F.cross_entropy(_masked(x, real), first[:, side]) for side, x in enumerate(student)]
        return torch.stack(ends).mean()
    if task.name == "token-classification":
        labels = torch.full(real.shape, -1)
        for row, values in enumerate(targets):
            labels[row, : len(values)] = torch.tensor(values)
        known = labels >= 0
        return F.cross_entropy(logits[known], labels[known]) if known.any() else None
    if task.regression:
        return (predicted_number(task, logits).reshape(-1) - torch.tensor(targets, dtype=logits.dtype)).square().mean()
    if task.multi_label:
        wanted = torch.zeros_like(logits)
        for row, labels_of_row in enumerate(targets):
            wanted[row, list(labels_of_row)] = 1
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(-1).mean()
    return F.cross_entropy(logits, torch.tensor(targets))


def _kl(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² · KL over the last dimension, mean over all others."""
    s = F.log_softmax(student / temperature, dim=-1)
    t = F.log_softmax(teacher / temperature, dim=-1)
    return (t.exp() * (t - s)).sum(-1).mean() * temperature**2


def _masked(logits: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """[B, S] with padding so low that it has no share in a softmax."""
    return logits.masked_fill(~real, MASKED)
