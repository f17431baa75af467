"""Unigram: the path of largest summed score through all pieces of a text (Kudo 2018; SentencePiece).

Why a smaller vocabulary keeps its promise: (a) a best path whose pieces are all kept beats fewer rivals than before; on
equal scores the earlier start wins, and the rivals that are left are some of the old ones. The score of an unknown
character hangs on the lowest score of all pieces, so that piece is kept. (b) Where every character of a removed piece
has a piece of its own, no unknown is ever considered there. Pieces with other characters are all kept; ``unsafe`` looks
for pieces that could now lead past them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from ..errors import ModelError
from .base import UNSPELLABLE, Vocabulary, byte_pieces, overlapped


class Unigram(Vocabulary):
    """XLM-RoBERTa, CamemBERT, ALBERT, T5."""

    kind: ClassVar[str] = "Unigram"

    def __init__(self, section: Mapping[str, Any], added: Collection[str] = ()) -> None:
        super().__init__(section, added)
        entries = section.get("vocab")
        if not isinstance(entries, list) or not entries:
            raise ModelError("tokenizer.json: Unigram without a vocabulary: expected a list of [piece, score]")
        self._scores = {str(piece): float(score) for piece, score in entries}
        if len(self._scores) != len(entries):
            raise ModelError("tokenizer.json: Unigram: a piece occurs twice, so its ids can't be told apart")
        self._ids = {piece: index for index, piece in enumerate(self._scores)}
        alphabet = {piece for piece in self._ids if len(piece) == 1}
        fallback = bool(section.get("byte_fallback"))
        self._orphans = {piece for piece in self._ids if not fallback and not set(piece) <= alphabet} - self.added

    @property
    def ids(self) -> dict[str, int]:
        """Every piece and its id: its place in the list."""
        return self._ids

    def essential(self) -> set[str]:
        """The unknown token, single characters, bytes, the lowest score, what has characters without a piece."""
        unknown = self.section.get("unk_id")
        by_id = list(self._ids)
        kept = {piece for piece in self._ids if len(piece) == 1} | self._orphans | byte_pieces(self._ids)
        kept.add(min(by_id, key=self._scores.__getitem__))
        return kept if unknown is None else kept | {by_id[int(unknown)]}

    def unsafe(self, kept: Collection[str]) -> str | None:
        """A piece that can't be spelled, and that another piece can run into from either side."""
        unknown = self.section.get("unk_id")
        names = {piece for piece, index in self._ids.items() if index == unknown}
        orphans = sorted(self._orphans - names)
        found = overlapped(orphans, kept, both_ends=True) if orphans else None
        return None if found is None else UNSPELLABLE.format(piece=found)

    def rewritten(self, new_ids: Mapping[str, int]) -> dict[str, Any]:
        """The section with these pieces only, in their order, and ``unk_id`` moved along."""
        pieces = sorted(new_ids, key=new_ids.__getitem__)
        section = {**self.section, "vocab": [[piece, self._scores[piece]] for piece in pieces]}
        if section.get("unk_id") is not None:
            section["unk_id"] = new_ids[list(self._ids)[int(section["unk_id"])]]
        return section
