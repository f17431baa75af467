"""token-classification: a label for each token, logits [B, S, K]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.preprocess.text import EncodedText

from .base import Metric, Reads, RowOutputs, Targets, Task, Tensors
from .divergence import IGNORED, cross_entropy_at_draws, distillation_kl, kl, softmax_direction


@dataclass(frozen=True)
class TokenClassification(Task):
    """Figures are over real tokens; a label counts where a word begins."""

    reads: Reads = "words"
    targets: ClassVar[Targets] = "word labels"
    by_token: ClassVar[bool] = True
    labels_of_head: ClassVar[bool] = True

    def output_specs(self, width: int) -> tuple[TensorSpec, ...]:
        return (TensorSpec("logits", "float32", ("batch", "sequence", width)),)

    def target(self, target: Any, text: str | Sequence[str], text_pair: str | None, encoded: EncodedText) -> Any:
        """The word's label on its first token, -1 elsewhere (the convention of token classification since BERT)."""
        starts: list[int] = []
        position = 0
        for word in text:
            starts.append(position)
            position += len(word) + 1
        targets: list[int] = []
        seen = -1
        for (start, end), source in zip(encoded.offsets, encoded.texts, strict=True):
            index = int(np.searchsorted(starts, start, side="right")) - 1
            first = source is not None and end > start and index > seen
            targets.append(target[index] if first else -1)
            seen = index if first else seen
        return targets

    def decisions(self, outputs: Sequence[RowOutputs]) -> list[Any]:
        return [tuple(np.argmax(row["logits"], axis=-1)) for row in outputs]

    def agreement(self, first: Sequence[RowOutputs], second: Sequence[RowOutputs]) -> float | None:
        """Token by token; None where the two models have other tokens."""
        if super().agreement(first, second) is None:
            return None
        pairs = zip(self.decisions(first), self.decisions(second), strict=True)
        return float(np.concatenate([np.equal(a, b) for a, b in pairs]).mean())

    def metric(self, outputs: Sequence[RowOutputs], targets: Sequence[Any]) -> Metric | None:
        hits: list[float] = []
        for decided, labels in zip(self.decisions(outputs), targets, strict=True):
            hits += [float(d == t) for d, t in zip(decided, labels, strict=True) if t >= 0]
        return Metric("token_accuracy", float(np.mean(hits)) if hits else float("nan"), tuple(hits))

    def damage(self, expected: Tensors, changed: Tensors, real: torch.Tensor | None) -> float:
        each = kl(expected[0], changed[0]).clamp(min=0)
        return float((each if real is None else each[real]).sum())

    def damage_weight(self, expected: Tensors, real: torch.Tensor | None) -> float:
        return float(expected[0][..., 0].numel() if real is None else real.sum())

    def direction(self, z: torch.Tensor, real: torch.Tensor | None, noise: torch.Tensor) -> torch.Tensor:
        found = softmax_direction(torch.softmax(z, dim=-1), noise)
        return found if real is None else found * real[..., None]

    def response_loss(self, student: Tensors, teacher: Tensors, real: torch.Tensor, temperature: float) -> torch.Tensor:
        return distillation_kl(student[0][real], teacher[0][real], temperature)

    def label_loss(self, student: Tensors, targets: Sequence[Any], real: torch.Tensor) -> torch.Tensor | None:
        labels = _padded(targets, real.shape[1])
        known = labels != IGNORED
        return F.cross_entropy(student[0][known], labels[known]) if known.any() else None

    def row_losses(
        self, outputs: Tensors, real: torch.Tensor | None, targets: Sequence[Any] | None, generator: torch.Generator
    ) -> torch.Tensor:
        labels = None if targets is None else _padded(targets, outputs[0].shape[1])
        return cross_entropy_at_draws(outputs[0], labels, real, generator)


def _padded(targets: Sequence[Any], length: int) -> torch.Tensor:
    """Labels of each row's tokens as int64 [B, S]; -1 (no first token of a word) and padding become ``IGNORED``."""
    labels = torch.full((len(targets), length), IGNORED)
    for row, values in enumerate(targets):
        labels[row, : len(values)] = torch.tensor(values)
    return labels.masked_fill(labels < 0, IGNORED)
