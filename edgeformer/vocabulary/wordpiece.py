"""WordPiece: a word is cut from the left, the longest piece first (Wu 2016; BERT's ``##`` marks what continues a word).

Why a smaller vocabulary keeps its promise: (a) the longest match among all pieces is, if kept, the longest among the
kept ones, step by step. (b) A word becomes unknown when at some place no piece fits. Every character that has a piece
of its own at its place (``a`` at a word's start, ``##a`` inside) fits there. Pieces with other characters are all kept,
and are reached as before, unless a match that now begins elsewhere runs over their start: ``unsafe`` looks for those.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from .base import UNSPELLABLE, Vocabulary, overlapped, table


class WordPiece(Vocabulary):
    """BERT, DistilBERT, ELECTRA, MPNet."""

    kind: ClassVar[str] = "WordPiece"

    def __init__(self, section: Mapping[str, Any], added: Collection[str] = ()) -> None:
        super().__init__(section, added)
        self._ids = table(section, self.kind)
        self._prefix = str(section.get("continuing_subword_prefix", "##"))
        self._orphans = {piece for piece in self._ids if not self._can_be_spelled(piece)} - self.added

    @property
    def ids(self) -> dict[str, int]:
        """Every piece and its id."""
        return self._ids

    def essential(self) -> set[str]:
        """The unknown token, single characters in both forms, pieces with characters that have no own piece."""
        unknown = {str(self.section.get("unk_token", "[UNK]"))}
        single = {piece for piece in self._ids if len(self._text(piece)) == 1}
        return (unknown & set(self._ids)) | single | self._orphans

    def unsafe(self, kept: Collection[str]) -> str | None:
        """A piece inside words that can't be spelled, and that another piece can run into."""
        inside = sorted(self._text(piece) for piece in self._orphans if self._continues(piece))
        found = overlapped(inside, {self._text(piece) for piece in kept}, both_ends=False) if inside else None
        return None if found is None else UNSPELLABLE.format(piece=self._prefix + found)

    def rewritten(self, new_ids: Mapping[str, int]) -> dict[str, Any]:
        """The section with these pieces only."""
        return {**self.section, "vocab": dict(sorted(new_ids.items(), key=lambda item: item[1]))}

    def _continues(self, piece: str) -> bool:
        return bool(self._prefix) and piece.startswith(self._prefix) and len(piece) > len(self._prefix)

    def _text(self, piece: str) -> str:
        return piece[len(self._prefix) :] if self._continues(piece) else piece

    def _can_be_spelled(self, piece: str) -> bool:
        text = self._text(piece)
        inside = text if self._continues(piece) else text[1:]
        start = () if self._continues(piece) else text[:1]
        return all(self._prefix + c in self._ids for c in inside) and all(c in self._ids for c in start)
