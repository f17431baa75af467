"""What ``Session.predict`` gives for one text, by task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, Optional, Tuple

import numpy as np


@dataclass(frozen=True)
class Prediction:
    """Common to every task."""

    tokens: int  # tokens that the model saw, special ones included
    truncated: bool  # the text was longer than the model takes, and its end was not looked at
    tokens_cut: Optional[int]  # tokens of that end; None for a pair of which both texts may be cut

    def to_dict(self) -> Dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Classification(Prediction):
    """One label of several (softmax), or each label on its own (sigmoid, ``multi_label``)."""

    label: str  # the label of the highest score
    score: float  # its probability, 0…1
    scores: Dict[str, float]  # probability of every label
    labels: Tuple[str, ...]  # those that apply: the best one, or with multi_label all of 0.5 and above


@dataclass(frozen=True)
class Regression(Prediction):
    """One number, in the unit that the model was trained with."""

    value: float


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


@dataclass(frozen=True)
class Answer(Prediction):
    """The span of the context that answers the question. ``start`` and ``end`` count characters of the
    context.
    """

    text: str
    score: float  # probability of its start times probability of its end, 0…1
    start: int
    end: int
