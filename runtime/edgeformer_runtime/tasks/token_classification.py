"""token-classification: runs of words with a label, such as names of people and places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from ..preprocess.base import Encoded
from ..preprocess.text import EncodedText, of_text
from .base import Prediction, Task
from .scores import softmax


@dataclass(frozen=True)
class Entity:
    """A run of words with one label. ``start`` and ``end`` count characters of the text (end exclusive)."""

    label: str
    score: float  # mean over its words, 0…1
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class TokenClassification(Prediction):
    """The entities of a text, in its order."""

    entities: Tuple[Entity, ...]

    def summary(self) -> str:
        """Every entity with its text and score."""
        return "; ".join(f"{item.label}={item.text} ({item.score:.3f})" for item in self.entities) or "-"


class TokenClassificationTask(Task):
    """Output: logits [1, tokens, labels]. A word's label is that of its first token, as models are trained."""

    def _predict(self, arrays: Tuple[np.ndarray, ...], encoded: Encoded) -> TokenClassification:
        encoded = of_text(encoded)
        text = encoded.source[0]
        logits = arrays[0]
        probabilities = softmax(self.labelled(logits, 3)[0])
        words = _words(encoded)
        entities: List[Entity] = []
        run: List[Tuple[float, int, int]] = []  # (score, start, end) of the words of the entity at hand
        run_label: Optional[str] = None

        def close_run() -> None:
            if run and run_label is not None:
                start, end = run[0][1], run[-1][2]
                score = float(np.mean([word[0] for word in run]))
                entities.append(Entity(run_label, score, start, end, text[start:end]))
            run.clear()

        for first_token, start, end in words:
            best = int(np.argmax(probabilities[first_token]))
            begins, label = _split_tag(self.spec.labels[best])
            if begins or label != run_label:
                close_run()
            run_label = label
            if label is not None:
                run.append((float(probabilities[first_token, best]), start, end))
        close_run()
        return TokenClassification(encoded.tokens, encoded.truncated, encoded.tokens_cut, tuple(entities))


def _words(encoded: EncodedText) -> List[Tuple[int, int, int]]:
    """(first token, first character, end character) of each word; special tokens are in none."""
    words: List[Tuple[int, int, int]] = []
    previous: Optional[int] = None
    for index, word in enumerate(encoded.words):
        if word is None:
            continue
        start, end = encoded.offsets[index]
        if word == previous and words:
            first_token, first_character, _ = words[-1]
            words[-1] = (first_token, first_character, end)
        else:
            words.append((index, start, end))
        previous = word
    return words


def _split_tag(tag: str) -> Tuple[bool, Optional[str]]:
    """Whether a tag begins an entity, and its label: "B-PER" is (True, "PER"), "O" (False, None)."""
    if tag == "O":
        return False, None
    if tag[:2] in ("B-", "I-"):
        return tag[0] == "B", tag[2:]
    return False, tag
