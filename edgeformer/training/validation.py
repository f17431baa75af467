"""How good the student is on rows that it doesn't learn from: what early stopping goes by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.batching import Batch, padded_batches
from ..data.encoded import EncodedSamples
from ..model.base import Model
from ..tasks import Metric, get_task
from .teacher import Teacher


@dataclass(frozen=True)
class Score:
    """A student on the validation rows. ``metric`` is None where they have no labels that the task is measured by."""

    loss: float  # of responses, against the teacher
    metric: Metric | None

    def to_entry(self) -> dict[str, Any]:
        """What an epoch's entry of the history says of it."""
        found = self.metric
        return {
            "validation_loss": self.loss,
            "validation_metric": found.value if found else None,
            "validation_metric_name": found.name if found else None,
            "higher_is_better": found.higher_is_better if found else None,
        }

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Score:
        """The score that ``to_entry`` wrote."""
        name, value = entry["validation_metric_name"], entry["validation_metric"]
        metric = None if name is None else Metric(name, value, higher_is_better=entry["higher_is_better"])
        return cls(entry["validation_loss"], metric)

    def better_than(self, other: Score) -> bool:
        """By the metric, equal metrics by the loss."""
        own, best = (-math.inf if score.metric is None else score.metric.goodness for score in (self, other))
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
        outputs: list[dict[str, NDArray[np.float32]]] = [{} for _ in self._samples.feeds]
        total = 0.0
        with torch.no_grad():
            for batch in self._batches:
                found = module(*batch.tensors)
                total += self._loss(student, found, batch) * len(batch.indices)
                _keep_rows(student, found, batch, outputs)
        targets = self._samples.targets
        metric = None if targets is None else get_task(student.task).metric(outputs, targets)
        return Score(total / len(self._samples.feeds), metric)

    def _loss(self, student: Model, found: tuple[torch.Tensor, ...], batch: Batch) -> float:
        wanted = self._teacher.lesson(batch).outputs
        return float(get_task(student.task).response_loss(found, wanted, _real(batch), self._temperature))


def _keep_rows(
    model: Model, found: tuple[torch.Tensor, ...], batch: Batch, outputs: list[dict[str, NDArray[np.float32]]]
) -> None:
    """Each row's outputs without padding, as metrics take them."""
    lengths = _real(batch).sum(dim=1).tolist()
    for place, (index, length) in enumerate(zip(batch.indices, lengths, strict=True)):
        for spec, tensor in zip(model.outputs, found, strict=True):
            row = tensor[place, :length] if "sequence" in spec.shape else tensor[place]
            outputs[index][spec.name] = row.float().numpy()


def _real(batch: Batch) -> torch.Tensor:
    """bool [B, S]; rows without a mask have no padding."""
    return torch.ones(batch.tensors[0].shape[:2], dtype=torch.bool) if batch.real is None else batch.real
