"""zero-shot-image-classification: which of several labels describes a picture, by the vectors of their texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Optional, Sequence, Tuple

import numpy as np

from ..errors import InputError, RuntimeBundleError
from ..preprocess.base import Encoded
from .base import Prediction
from .feature_extraction import Embedding
from .image_text_similarity import ImageTextTask
from .scores import activated
from .text_classification import classified

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
        """What the text tower gets for each label."""
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
        if texts.shape[1] != picture.size:
            raise RuntimeBundleError(
                f"task {self.spec.name}: a picture's vector has {picture.size} numbers, a label's {texts.shape[1]}: "
                "compile the bundle again"
            )
        lengths = np.linalg.norm(picture) * np.linalg.norm(texts, axis=1)
        logits = self.logits((texts @ picture) / np.maximum(lengths, 1e-12))
        return classified(replace(self.spec, labels=self.labels), activated(self.spec, logits), encoded)


def check_labels(labels: Any) -> Tuple[str, ...]:
    """Labels that a caller named; raises InputError unless they are at least two texts, each once and not empty."""
    if not isinstance(labels, (list, tuple)) or not all(isinstance(label, str) and label.strip() for label in labels):
        raise InputError(f"labels {labels!r:.80}: expected a list of texts, none of them empty")
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise InputError(f"labels {', '.join(labels):.80}: expected at least two, each once")
    return tuple(labels)


def stored_vectors(data: bytes, labels: int) -> np.ndarray:
    """float32 [labels, dimensions] of a bundle's file of label vectors; raises RuntimeBundleError for NaN, infinity."""
    vectors = np.frombuffer(data, "<f4").reshape(labels, -1)
    if not np.isfinite(vectors).all():
        raise RuntimeBundleError("the bundle's label vectors hold NaN or infinity: compile the bundle again")
    return vectors


def check_told_apart(labels: Sequence[str], found: Sequence[Embedding]) -> np.ndarray:
    """float32 [labels, dimensions]; raises InputError where the model doesn't read a label to its end, or can't tell
    two apart.
    """
    cut = [label for label, item in zip(labels, found) if item.truncated]
    if cut:
        raise InputError(f"label {cut[0]!r:.80}: its text is longer than the model reads: shorten it")
    vectors = np.stack([item.embedding for item in found])
    for index, vector in enumerate(vectors):
        same = [other for other in range(index) if np.array_equal(vectors[other], vector)]
        if same:
            raise InputError(
                f"labels {labels[same[0]]!r} and {labels[index]!r}: the model gives both one vector, so it can't tell "
                "them apart: name one of them otherwise"
            )
    return vectors
