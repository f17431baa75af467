"""What trimming must know of a tokenizer's model: which pieces no vocabulary may lose, and how to write a smaller one.

Legend: a piece is an entry of the model's vocabulary; "##ing", "▁the" and "Ġthe" are pieces.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

from ..errors import ModelError

UNSPELLABLE = "{piece!r} has characters without a piece of their own, and other pieces overlap it"
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


class Vocabulary(ABC):
    """The ``model`` section of a tokenizer.json, as far as trimming needs it.

    The promise of each kind: any set of pieces that holds ``essential`` and, with each piece, its ``support``, and of
    which ``unsafe`` finds nothing, (a) encodes every text whose pieces are all known and in the set exactly as before,
    and (b) makes nothing unknown that was known. (An unknown word may become readable.)
    """

    kind: ClassVar[str]

    def __init__(self, section: Mapping[str, Any], added: Collection[str] = ()) -> None:
        """``added`` are the added tokens: they are cut out before the model sees a text, and they always stay."""
        self.section = section
        self.added = frozenset(added)

    @property
    @abstractmethod
    def ids(self) -> dict[str, int]:
        """Every piece and its id."""

    @abstractmethod
    def essential(self) -> set[str]:
        """Pieces that stay whatever the corpora say: characters, bytes, and what holds characters without a piece."""

    def support(self, piece: str) -> set[str]:
        """``piece`` and the pieces without which it can't come about."""
        return {piece}

    def unsafe(self, kept: Collection[str]) -> str | None:
        """Why no piece may go when these stay; None where there is no such reason."""
        return None

    @abstractmethod
    def rewritten(self, new_ids: Mapping[str, int]) -> dict[str, Any]:
        """The section with the pieces of ``new_ids`` only; these ids are 0, 1, 2, … in the old order."""


def byte_pieces(pieces: Iterable[str]) -> set[str]:
    """The pieces <0x00> … <0xFF> that byte fallback spells unknown characters with."""
    return {piece for piece in pieces if _BYTE.fullmatch(piece)}


def number(section: Mapping[str, Any], key: str) -> float:
    """A number of the section, 0 where it is absent or null."""
    value = section.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def overlapped(pieces: Iterable[str], texts: Collection[str], *, both_ends: bool) -> str | None:
    """The first of ``pieces`` that a text can run into: begin before it and stop inside it, or else None.

    With ``both_ends`` True a text that begins inside it and ends after it counts too.
    """
    ends = {text[start:] for text in texts for start in range(1, len(text))}
    starts = {text[:end] for text in texts for end in range(1, len(text))} if both_ends else set()
    for piece in pieces:
        inner = range(1, len(piece))
        if any(piece[:cut] in ends or piece[cut:] in starts for cut in inner):
            return piece
    return None


def table(section: Mapping[str, Any], kind: str) -> dict[str, int]:
    """The vocabulary of a WordPiece or BPE section; raises ModelError when it is no table of pieces to ids."""
    vocabulary = section.get("vocab")
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise ModelError(f"tokenizer.json: {kind} without a vocabulary: expected a table of pieces to ids")
    return vocabulary
