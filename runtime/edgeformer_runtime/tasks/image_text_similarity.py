"""image-text-similarity: how well a text describes a picture, by the vectors of the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional, Tuple

import numpy as np

from ..preprocess.base import Encoded
from .base import Prediction, Task
from .scores import sigmoid
from .similarity import similarity


@dataclass(frozen=True)
class ImageTextSimilarity(Prediction):
    """A picture with a text."""

    similarity: float  # cosine of their vectors
    score: Optional[float]  # probability that they belong together; None for models that only rank

    def summary(self) -> str:
        """The score where there is one, else the similarity."""
        return f"{self.similarity if self.score is None else self.score:.4f}"


class ImageTextTask(Task):
    """Outputs: the picture's vector [1, dimensions], then the text's."""

    reads: ClassVar[Optional[str]] = "image and text"
    outputs_needed: ClassVar[int] = 2
    has_activation: ClassVar[bool] = True
    embeds: ClassVar[Tuple[str, ...]] = ("image", "text")

    def _predict(self, arrays: Tuple[np.ndarray, ...], encoded: Encoded) -> Prediction:
        picture, text = self.vector(arrays[0]), self.vector(arrays[1])
        cosine = similarity(picture, text)
        score = None
        if self.spec.activation == "sigmoid":
            score = float(sigmoid(np.asarray(self.spec.scale * cosine + self.spec.bias)))
        return ImageTextSimilarity(encoded.tokens, encoded.truncated, encoded.tokens_cut, cosine, score)
