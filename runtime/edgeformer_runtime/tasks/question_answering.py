"""question-answering: the span of a context that answers a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Tuple

import numpy as np

from ..errors import RuntimeBundleError
from ..preprocess.base import Encoded
from ..preprocess.text import of_text
from .base import Prediction, Task
from .scores import softmax


@dataclass(frozen=True)
class Answer(Prediction):
    """The span of the context that answers the question. ``start`` and ``end`` count characters of the
    context.
    """

    text: str
    score: float  # probability of its start times probability of its end, 0…1
    start: int
    end: int

    def summary(self) -> str:
        """The answer and its score."""
        return f"{self.text} {self.score:.4f}"


class QuestionAnswering(Task):
    """Outputs: logits of starts and of ends, both [1, tokens].

    The best span inside the context, of at most ``spec.longest_answer`` tokens, by p(start)·p(end). A model that may
    answer "nothing" is not served: the best span is given however low its score.
    """

    pairs_only: ClassVar[bool] = True
    cut: ClassVar[str] = "second"  # a question stays whole
    outputs_needed: ClassVar[int] = 2

    def _predict(self, arrays: Tuple[np.ndarray, ...], encoded: Encoded) -> Answer:
        encoded = of_text(encoded)
        start_logits, end_logits = arrays[:2]
        tokens = [index for index, source in enumerate(encoded.texts) if source == 1]
        if start_logits.shape != (1, encoded.tokens) or end_logits.shape != (1, encoded.tokens):
            raise RuntimeBundleError(
                f"task question-answering: expected start and end of shape [1, {encoded.tokens}], got "
                f"{list(start_logits.shape)} and {list(end_logits.shape)}"
            )
        if not tokens:
            return Answer(encoded.tokens, encoded.truncated, encoded.tokens_cut, "", 0.0, 0, 0)
        starts, ends = softmax(start_logits[0, tokens]), softmax(end_logits[0, tokens])
        # upper triangle: the end is not before the start; the band keeps answers short
        products = np.triu(np.outer(starts, ends)) - np.triu(np.outer(starts, ends), self.spec.longest_answer)
        first, last = np.unravel_index(int(np.argmax(products)), products.shape)
        start, end = encoded.offsets[tokens[int(first)]][0], encoded.offsets[tokens[int(last)]][1]
        score = float(products[first, last])
        return Answer(
            encoded.tokens,
            encoded.truncated,
            encoded.tokens_cut,
            (encoded.source[1] or "")[start:end],
            score,
            start,
            end,
        )
