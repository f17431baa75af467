"""zero-shot-image-classification: which of several labels describes a picture, by the vectors of their texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Optional, Sequence, Tuple

import numpy as np

from ..errors import InputError
from ..preprocess.base import Encoded
from .base import Prediction
from .image_text_similarity import ImageTextTask
from .scores import activated
from .text_classification import Classification

TEMPLATE = "This is a photo of {}."


@dataclass(frozen=True)
class ZeroShotImageClassification(ImageTextTask):
    """Labels are the manifest's, or any others that a caller names; ``vectors`` float [labels, dimensions]."""

    labels: Tuple[str, ...] = ()
    vectors: Optional[np.ndarray] = None

    reads: ClassVar[Optional[str]] = "image"

    def with_labels(self, labels: Sequence[str], vectors: np.ndarray) -> ZeroShotImageClassification:
        """The same task between ``labels``, of whose texts ``vectors`` are."""
        return replace(self, labels=tuple(labels), vectors=vectors)

    def texts(self, labels: Sequence[str]) -> Tuple[str, ...]:
        """What the text tower gets for each label; raises InputError where ``labels`` can't be told apart."""
        if isinstance(labels, str) or len(labels) < 2 or len(set(labels)) != len(labels):
            raise InputError(f"labels {labels!r:.80}: expected at least two, each once")
        template = self.spec.hypothesis_template or TEMPLATE
        return tuple(template.replace("{}", label) for label in labels)

    @property
    def reads_outputs(self) -> Tuple[str, ...]:
        """The picture's vector."""
        return self.outputs[:1]

    def _predict(self, arrays: Tuple[np.ndarray, ...], encoded: Encoded) -> Prediction:
        if self.vectors is None:
            raise InputError(f"task {self.spec.name}: no labels: name them, predict(…, labels=[…])")
        picture = self.vector(arrays[0]).astype(np.float64)
        texts = self.vectors.astype(np.float64)
        lengths = np.linalg.norm(picture) * np.linalg.norm(texts, axis=1)
        logits = self.spec.scale * (texts @ picture) / np.maximum(lengths, 1e-12) + self.spec.bias
        scores = activated(self.spec, logits)
        best = int(np.argmax(scores))
        return Classification(
            tokens=encoded.tokens,
            truncated=encoded.truncated,
            tokens_cut=encoded.tokens_cut,
            label=self.labels[best],
            score=float(scores[best]),
            scores={label: float(score) for label, score in zip(self.labels, scores)},
            labels=(self.labels[best],),
        )
