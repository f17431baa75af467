"""question-answering: the first and the last token of an answer, start_logits and end_logits [B, S]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.preprocess.text import EncodedText

from ..errors import SamplesError
from .base import Metric, Reads, RowOutputs, Targets, Task, Tensors
from .divergence import cross_entropy_at_draws, distillation_kl, kl, masked, softmax_direction


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """Figures of start and end are added; padding is no position."""

    reads: Reads = "question"
    targets: ClassVar[Targets] = "answers"
    by_token: ClassVar[bool] = True

    def output_specs(self, width: int) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, "float32", ("batch", "sequence")) for name in ("start_logits", "end_logits"))

    def select(self, result: Any) -> tuple[torch.Tensor, ...]:
        return (result.start_logits, result.end_logits)

    def target(self, target: Any, text: str | Sequence[str], text_pair: str | None, encoded: EncodedText) -> Any:
        """Token spans (first, last) of each answer in the context that was not cut off; [(0, 0)] for none."""
        spans = []
        for answer in target:
            begin = (text_pair or "").find(answer)
            if begin < 0:
                raise SamplesError(f"samples: answer {answer[:60]!r} is not in its context")
            inside = [
                index
                for index, ((start, end), source) in enumerate(zip(encoded.offsets, encoded.texts, strict=True))
                if source == 1 and start < begin + len(answer) and end > begin
            ]
            if inside:
                spans.append((inside[0], inside[-1]))
        return spans or [(0, 0)]

    def decisions(self, outputs: Sequence[RowOutputs]) -> list[Any]:
        return [(int(np.argmax(row["start_logits"])), int(np.argmax(row["end_logits"]))) for row in outputs]

    def metric(self, outputs: Sequence[RowOutputs], targets: Sequence[Any]) -> Metric | None:
        scores = [_overlap(span, answers) for span, answers in zip(self.decisions(outputs), targets, strict=True)]
        return Metric("answer_overlap_f1", float(np.mean(scores)), tuple(scores))

    def damage(self, expected: Tensors, changed: Tensors, real: torch.Tensor | None) -> float:
        pairs = zip(expected, changed, strict=True)
        return sum(float(kl(masked(a, real), masked(b, real)).clamp(min=0).sum()) for a, b in pairs)

    def direction(self, z: torch.Tensor, real: torch.Tensor | None, noise: torch.Tensor) -> torch.Tensor:
        return softmax_direction(torch.softmax(masked(z, real), dim=-1), noise)

    def response_loss(self, student: Tensors, teacher: Tensors, real: torch.Tensor, temperature: float) -> torch.Tensor:
        pairs = zip(student, teacher, strict=True)
        parts = [distillation_kl(masked(s, real), masked(t, real), temperature) for s, t in pairs]
        return torch.stack(parts).mean()

    def label_loss(self, student: Tensors, targets: Sequence[Any], real: torch.Tensor) -> torch.Tensor | None:
        first = _first_spans(targets)
        ends = [F.cross_entropy(masked(x, real), first[:, side]) for side, x in enumerate(student)]
        return torch.stack(ends).mean()

    def row_losses(
        self, outputs: Tensors, real: torch.Tensor | None, targets: Sequence[Any] | None, generator: torch.Generator
    ) -> torch.Tensor:
        first = None if targets is None else _first_spans(targets)
        sides = [
            cross_entropy_at_draws(
                masked(x, real)[:, None], None if first is None else first[:, side : side + 1], None, generator
            )
            for side, x in enumerate(outputs)
        ]
        return sides[0] + sides[1]


def _first_spans(targets: Sequence[Any]) -> torch.Tensor:
    """int64 [B, 2]: first and last token of each row's first answer."""
    return torch.tensor([row[0] for row in targets])


def _overlap(span: tuple[int, int], answers: Sequence[tuple[int, int]]) -> float:
    """Best overlap F1 of a predicted token span with the answers' spans (SQuAD's F1, over token positions)."""
    start, end = span
    predicted = Counter(range(start, end + 1))
    best = 0.0
    for low, high in answers:
        wanted = Counter(range(low, high + 1))
        common = sum((predicted & wanted).values())
        if common:
            precision, recall = common / sum(predicted.values()), common / sum(wanted.values())
            best = max(best, 2 * precision * recall / (precision + recall))
    return best
