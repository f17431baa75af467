"""How good the student is on rows that it doesn't learn from: what early stopping goes by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..data.batching import Batch, padded_batches
from ..data.encoding import EncodedSamples
from ..model.base import Model
from ..variants.verification import Outputs, measure
from .distillation import response_loss
from .teacher import Teacher


@dataclass(frozen=True)
class Score:
    """A student on the validation rows. ``metric`` is None where they have no labels that the task is measured by."""

    loss: float  # of responses, against the teacher
    metric: float | None
    metric_name: str | None

    def better_than(self, other: Score) -> bool:
        """By the metric, equal metrics by the loss."""
        own, best = (-math.inf if score.metric is None else score.metric for score in (self, other))
        return (own, -self.loss) > (best, -other.loss)


class Validation:
    """Validation rows with the teacher's answers to them."""

    def __init__(self, teacher: Model, samples: EncodedSamples, temperature: float) -> None:
        self._teacher = Teacher(teacher, samples, ())
        self._samples = samples
        self._temperature = temperature
        self._batches = padded_batches(teacher, samples)

    def score(self, student: Model) -> Score:
        """Run ``student`` over all rows."""
        module = student.callable_module()
        outputs: Outputs = [{} for _ in self._samples.feeds]
        total = 0.0
        with torch.no_grad():
            for batch in self._batches:
                found = module(*batch.tensors)
                total += self._loss(student, found, batch) * len(batch.indices)
                _keep_rows(student, found, batch, outputs)
        metric = measure(student, outputs, self._samples)
        return Score(
            loss=total / len(self._samples.feeds),
            metric=metric.value if metric else None,
            metric_name=metric.name if metric else None,
        )

    def _loss(self, student: Model, found: tuple[torch.Tensor, ...], batch: Batch) -> float:
        wanted = self._teacher.lesson(batch).outputs
        return float(response_loss(student.task, found, wanted, _real(batch), self._temperature))


def _keep_rows(model: Model, found: tuple[torch.Tensor, ...], batch: Batch, outputs: Outputs) -> None:
    """Each row's outputs without padding, as metrics take them."""
    lengths = _real(batch).sum(dim=1).tolist()
    for place, (index, length) in enumerate(zip(batch.indices, lengths, strict=True)):
        for spec, tensor in zip(model.outputs, found, strict=True):
            row = tensor[place, :length] if "sequence" in spec.shape else tensor[place]
            outputs[index][spec.name] = row.float().numpy()


def _real(batch: Batch) -> torch.Tensor:
    """bool [B, S]; rows without a mask have no padding."""
    return torch.ones(batch.tensors[0].shape[:2], dtype=torch.bool) if batch.real is None else batch.real
