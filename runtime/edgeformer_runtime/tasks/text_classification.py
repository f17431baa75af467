"""text-classification: one label of several, several labels, or a number, for a text or a pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Dict, Tuple, Union

import numpy as np

from ..bundle.manifest import TaskSpec
from ..errors import RuntimeBundleError
from ..preprocess.base import Encoded
from .base import Prediction, Task
from .scores import activated


@dataclass(frozen=True)
class Classification(Prediction):
    """One label of several (softmax), or each label on its own (sigmoid, ``multi_label``)."""

    label: str  # the label of the highest score
    score: float  # its probability, 0…1
    scores: Dict[str, float]  # probability of every label
    labels: Tuple[str, ...]  # those that apply: the best one, or with multi_label all from the threshold up

    def summary(self) -> str:
        """The best label and its score."""
        return f"{self.label} {self.score:.4f}"


@dataclass(frozen=True)
class Regression(Prediction):
    """One number, in the unit that the model was trained with."""

    value: float

    def summary(self) -> str:
        """The number."""
        return f"{self.value:.4f}"


class TextClassification(Task):
    """Output: logits [1, labels], or [1, 1] for a number."""

    has_activation: ClassVar[bool] = True

    def _predict(self, arrays: Tuple[np.ndarray, ...], encoded: Encoded) -> Union[Classification, Regression]:
        return self._number(arrays[0], encoded) if self.spec.regression else self._labels(arrays[0], encoded)

    def _labels(self, logits: np.ndarray, encoded: Encoded) -> Classification:
        return classified(self.spec, activated(self.spec, self.labelled(logits, 2)[0]), encoded)

    def _number(self, logits: np.ndarray, encoded: Encoded) -> Regression:
        if logits.size != 1:
            raise RuntimeBundleError(f"task regression: expected one number a row, got shape {list(logits.shape)}")
        value = float(activated(self.spec, logits).reshape(-1)[0])
        return Regression(encoded.tokens, encoded.truncated, encoded.tokens_cut, value)


def classified(spec: TaskSpec, scores: np.ndarray, encoded: Encoded) -> Classification:
    """What float64 ``scores`` [labels] say: the best label, and with ``multi_label`` all from the threshold up."""
    best = int(np.argmax(scores))
    by_label = {label: float(score) for label, score in zip(spec.labels, scores)}
    chosen: Tuple[str, ...] = (spec.labels[best],)
    if spec.multi_label:
        chosen = tuple(label for label, score in by_label.items() if score >= spec.threshold)
    return Classification(
        tokens=encoded.tokens,
        truncated=encoded.truncated,
        tokens_cut=encoded.tokens_cut,
        label=spec.labels[best],
        score=float(scores[best]),
        scores=by_label,
        labels=chosen,
    )
