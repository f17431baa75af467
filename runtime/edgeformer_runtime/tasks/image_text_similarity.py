"""image-text-similarity: how well a text describes a picture, by the vectors of the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional, Tuple

import numpy as np

from ..errors import RuntimeBundleError
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.spec.regression or self.spec.activation == "tanh":
            raise RuntimeBundleError(f"task {self.spec.name}: expected no regression and no tanh: it compares vectors")

    def logits(self, cosines: np.ndarray) -> np.ndarray:
        """scale · cosine + bias, float64; raises RuntimeBundleError where that isn't finite."""
        with np.errstate(over="ignore", invalid="ignore"):
            logits = self.spec.scale * cosines + self.spec.bias
        if not np.isfinite(logits).all():
            raise RuntimeBundleError(
                f"task {self.spec.name}: scale {self.spec.scale:g} and bias {self.spec.bias:g} give no finite scores"
            )
        return np.asarray(logits)

    def _predict(self, arrays: Tuple[np.ndarray, ...], encoded: Encoded) -> Prediction:
        picture, text = self.vector(arrays[0]), self.vector(arrays[1])
        cosine = similarity(picture, text)
        score = None
        if self.spec.activation == "sigmoid":
            score = float(sigmoid(self.logits(np.asarray(cosine))))
        return ImageTextSimilarity(encoded.tokens, encoded.truncated, encoded.tokens_cut, cosine, score)
