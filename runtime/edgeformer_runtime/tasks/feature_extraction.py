"""feature-extraction: a vector for a text, to be compared with those of others (``similarity``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Tuple

import numpy as np

from ..preprocess.base import Encoded
from .base import Prediction, Task


@dataclass(frozen=True)
class Embedding(Prediction):
    """A vector: float32 [dimensions]."""

    embedding: np.ndarray

    def to_dict(self) -> Dict[str, Any]:
        """Plain JSON data: the vector as a list."""
        return {
            "tokens": self.tokens,
            "truncated": self.truncated,
            "tokens_cut": self.tokens_cut,
            "embedding": self.embedding.tolist(),
        }

    def summary(self) -> str:
        """The first numbers of the vector, and how many it has."""
        head = " ".join(f"{value:.4f}" for value in self.embedding[:4])
        return f"[{head} …] {len(self.embedding)} dimensions"


class FeatureExtraction(Task):
    """Output: [1, dimensions]; pooling and normalization are part of the model."""

    embeds: ClassVar[Tuple[str, ...]] = ("text",)

    def _predict(self, arrays: Tuple[np.ndarray, ...], encoded: Encoded) -> Embedding:
        return Embedding(encoded.tokens, encoded.truncated, encoded.tokens_cut, self.vector(arrays[0]))
