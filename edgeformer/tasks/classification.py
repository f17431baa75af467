"""Heads with one vector of numbers a row, logits [B, K]: one label, several labels at once, or a number.

The inputs may be texts, images or sounds; what the outputs mean is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec
from edgeformer_runtime.tasks.scores import activated

from ..evaluation.correlation import pearson
from .base import Metric, Reads, RowOutputs, Targets, Task, Tensors
from .divergence import (  # fmt: skip
    cross_entropy_at_draws,
    distillation_kl,
    gaussian_at_draws,
    kl,
    softmax_direction,
    squared_error,
    squares,
)

# With so few numbers a row the outputs' own gradients cost no more than random directions, and say more.
MAX_EXACT_OUTPUTS = 8


def classification(spec: TaskSpec, reads: Reads = "text") -> Task:
    """The kind of head that ``spec`` tells of."""
    if spec.regression:
        return Regression(spec, reads)
    return SeveralLabels(spec, reads) if spec.multi_label else OneLabel(spec, reads)


@dataclass(frozen=True)
class _Head(Task):
    regresses: ClassVar[bool] = True
    labels_of_head: ClassVar[bool] = True

    def output_specs(self, width: int) -> tuple[TensorSpec, ...]:
        return (TensorSpec("logits", "float32", ("batch", width)),)

    def follows_each_output(self, outputs: Tensors) -> bool:
        return outputs[0][0].numel() <= MAX_EXACT_OUTPUTS


@dataclass(frozen=True)
class OneLabel(_Head):
    """A softmax over labels."""

    targets: ClassVar[Targets] = "label"

    def decisions(self, outputs: Sequence[RowOutputs]) -> list[Any]:
        return [int(np.argmax(row["logits"])) for row in outputs]

    def metric(self, outputs: Sequence[RowOutputs], targets: Sequence[Any]) -> Metric | None:
        hits = [float(d == t) for d, t in zip(self.decisions(outputs), targets, strict=True)]
        return Metric("accuracy", float(np.mean(hits)), tuple(hits))

    def damage(self, expected: Tensors, changed: Tensors, real: torch.Tensor | None) -> float:
        return float(kl(expected[0], changed[0]).clamp(min=0).sum())

    def whitened(self, z: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
        p = torch.softmax(z, dim=0)
        return p.sqrt() * (changes - (p * changes).sum(dim=0))

    def direction(self, z: torch.Tensor, real: torch.Tensor | None, noise: torch.Tensor) -> torch.Tensor:
        return softmax_direction(torch.softmax(z, dim=-1), noise)

    def response_loss(self, student: Tensors, teacher: Tensors, real: torch.Tensor, temperature: float) -> torch.Tensor:
        return distillation_kl(student[0], teacher[0], temperature)

    def label_loss(self, student: Tensors, targets: Sequence[Any], real: torch.Tensor) -> torch.Tensor | None:
        return F.cross_entropy(student[0], torch.tensor(targets))

    def row_losses(
        self, outputs: Tensors, real: torch.Tensor | None, targets: Sequence[Any] | None, generator: torch.Generator
    ) -> torch.Tensor:
        labels = None if targets is None else torch.tensor(list(targets))[:, None]
        return cross_entropy_at_draws(outputs[0][:, None], labels, None, generator)


@dataclass(frozen=True)
class SeveralLabels(_Head):
    """A sigmoid a label; figures are sums over labels."""

    targets: ClassVar[Targets] = "labels"

    def decisions(self, outputs: Sequence[RowOutputs]) -> list[Any]:
        return [tuple(np.flatnonzero(row["logits"] > 0)) for row in outputs]

    def metric(self, outputs: Sequence[RowOutputs], targets: Sequence[Any]) -> Metric | None:
        hits = [float(set(map(int, d)) == set(t)) for d, t in zip(self.decisions(outputs), targets, strict=True)]
        return Metric("exact_match", float(np.mean(hits)), tuple(hits))

    def damage(self, expected: Tensors, changed: Tensors, real: torch.Tensor | None) -> float:
        a, b = expected[0], changed[0]
        p = torch.sigmoid(a)
        each = p * (F.logsigmoid(a) - F.logsigmoid(b)) + (1 - p) * (F.logsigmoid(-a) - F.logsigmoid(-b))
        return float(each.sum(dim=-1).clamp(min=0).sum())

    def whitened(self, z: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
        p = torch.sigmoid(z)
        return changes * (p * (1 - p)).sqrt()

    def direction(self, z: torch.Tensor, real: torch.Tensor | None, noise: torch.Tensor) -> torch.Tensor:
        p = torch.sigmoid(z)
        return (p * (1 - p)).sqrt() * noise

    def response_loss(self, student: Tensors, teacher: Tensors, real: torch.Tensor, temperature: float) -> torch.Tensor:
        s, t = (torch.stack((x, torch.zeros_like(x)), dim=-1) for x in (student[0], teacher[0]))
        return distillation_kl(s, t, temperature) * student[0].shape[-1]

    def label_loss(self, student: Tensors, targets: Sequence[Any], real: torch.Tensor) -> torch.Tensor | None:
        return _binary(student[0], _hot(student[0], targets)).mean()

    def row_losses(
        self, outputs: Tensors, real: torch.Tensor | None, targets: Sequence[Any] | None, generator: torch.Generator
    ) -> torch.Tensor:
        logits = outputs[0]
        if targets is None:
            return _binary(logits, torch.bernoulli(torch.sigmoid(logits.detach()), generator=generator))
        return _binary(logits, _hot(logits, targets))


@dataclass(frozen=True)
class Regression(_Head):
    """One number, after the head's activation."""

    targets: ClassVar[Targets] = "number"
    damage_unit: ClassVar[str] = "relative squared error"

    def metric(self, outputs: Sequence[RowOutputs], targets: Sequence[Any]) -> Metric | None:
        values = [float(activated(self.spec, row["logits"]).reshape(-1)[0]) for row in outputs]
        return Metric("pearson", pearson(values, targets))

    def damage(self, expected: Tensors, changed: Tensors, real: torch.Tensor | None) -> float:
        return squared_error(expected, changed)

    def damage_weight(self, expected: Tensors, real: torch.Tensor | None) -> float:
        return squares(expected)

    def whitened(self, z: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
        return changes * 2**0.5

    def direction(self, z: torch.Tensor, real: torch.Tensor | None, noise: torch.Tensor) -> torch.Tensor:
        return noise * 2**0.5

    def response_loss(self, student: Tensors, teacher: Tensors, real: torch.Tensor, temperature: float) -> torch.Tensor:
        return (student[0] - teacher[0]).square().mean()

    def label_loss(self, student: Tensors, targets: Sequence[Any], real: torch.Tensor) -> torch.Tensor | None:
        return self._squared(student[0], targets).mean()

    def row_losses(
        self, outputs: Tensors, real: torch.Tensor | None, targets: Sequence[Any] | None, generator: torch.Generator
    ) -> torch.Tensor:
        return gaussian_at_draws(outputs, generator) if targets is None else 0.5 * self._squared(outputs[0], targets)

    def _squared(self, logits: torch.Tensor, targets: Sequence[Any]) -> torch.Tensor:
        wanted = torch.tensor([float(value) for value in targets], dtype=logits.dtype)
        return (self._number(logits).reshape(-1) - wanted).square()

    def _number(self, logits: torch.Tensor) -> torch.Tensor:
        """The runtime's ``activated``, with gradients."""
        if self.spec.activation == "sigmoid":
            return logits.sigmoid()
        return logits.tanh() if self.spec.activation == "tanh" else logits


def _hot(logits: torch.Tensor, targets: Sequence[Any]) -> torch.Tensor:
    """0/1 [B, K] of each row's label indices."""
    wanted = torch.zeros_like(logits)
    for row, labels in enumerate(targets):
        wanted[row, list(labels)] = 1.0
    return wanted


def _binary(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each row, summed over labels."""
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(dim=-1)
