"""feature-extraction: a vector for a text, to be compared with those of others (``similarity``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Tuple

import numpy as np

from ..errors import RuntimeBundleError
from ..preprocess.base import Encoded
from .base import Prediction, Task


@dataclass(frozen=True)
class Embedding(Prediction):
    """A vector for the text: float32 [dimensions]."""

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

    def _predict(self, arrays: Tuple[np.ndarray, ...], encoded: Encoded) -> Embedding:
        output = arrays[0]
        if output.ndim != 2:
            raise RuntimeBundleError(f"task feature-extraction: expected [1, dimensions], got {list(output.shape)}")
        return Embedding(encoded.tokens, encoded.truncated, encoded.tokens_cut, output[0].astype(np.float32))
