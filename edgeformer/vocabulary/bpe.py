"""Byte-pair encoding: the applicable merge of lowest rank is applied until none is (Sennrich 2016).

Why a smaller vocabulary keeps its promise: (a) let all pieces of a word's encoding be kept, and with each piece the
parts of every merge that makes it. Then every merge of the word's old derivation is still there, in the old order. The
kept merges are some of the old ones, so the lowest-ranked applicable one is the same at each step, and where none was
applicable none is. (b) Encoding starts from single characters, which are all kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from ..errors import ModelError
from .base import Vocabulary, byte_pieces, number, table


class Bpe(Vocabulary):
    """RoBERTa, GPT-2, ModernBERT (byte-level), and BPE from SentencePiece (with byte fallback)."""

    kind: ClassVar[str] = "BPE"

    def __init__(self, section: Mapping[str, Any], added: Collection[str] = ()) -> None:
        super().__init__(section, added)
        if number(section, "dropout"):
            raise ModelError("tokenizer.json: BPE with dropout encodes at random. Set dropout to null first")
        self._ids = table(section, self.kind)
        self._prefix = str(section.get("continuing_subword_prefix") or "")
        self._suffix = str(section.get("end_of_word_suffix") or "")
        self._merges = [self._merge(entry) for entry in section.get("merges", ())]
        self._parts: dict[str, set[str]] = defaultdict(set)
        for first, second in self._merges:
            self._parts[self._joined(first, second)] |= {first, second}

    @property
    def ids(self) -> dict[str, int]:
        """Every piece and its id."""
        return self._ids

    def essential(self) -> set[str]:
        """The unknown token, the alphabet of characters or bytes, and with ``ignore_merges`` unspellable words."""
        unknown = {str(self.section.get("unk_token"))} & set(self._ids)
        single = {piece for piece in self._ids if len(self._text(piece)) <= 1}
        alphabet = {self._text(piece) for piece in single}
        whole = {p for p in self._ids if self.section.get("ignore_merges") and not set(self._text(p)) <= alphabet}
        return unknown | single | byte_pieces(self._ids) | whole

    def support(self, piece: str) -> set[str]:
        """``piece`` and all pieces that any chain of merges makes it of."""
        found: set[str] = set()
        waiting = [piece]
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting += self._parts.get(current, ())
        return found

    def rewritten(self, new_ids: Mapping[str, int]) -> dict[str, Any]:
        """The section with these pieces only, and the merges whose parts and result are among them, in order."""
        merges = [
            entry
            for entry, (first, second) in zip(self.section.get("merges", ()), self._merges, strict=True)
            if first in new_ids and second in new_ids and self._joined(first, second) in new_ids
        ]
        vocabulary = dict(sorted(new_ids.items(), key=lambda item: item[1]))
        return {**self.section, "vocab": vocabulary, "merges": merges}

    def _merge(self, entry: Any) -> tuple[str, str]:
        parts = entry.split(" ") if isinstance(entry, str) else entry  # older files have "a b", newer ["a", "b"]
        if not isinstance(parts, list) or len(parts) != 2:
            raise ModelError(f"tokenizer.json: merge {entry!r}: expected two pieces")
        return str(parts[0]), str(parts[1])

    def _joined(self, first: str, second: str) -> str:
        return first + second[len(self._prefix) :]

    def _text(self, piece: str) -> str:
        inner = piece.removeprefix(self._prefix) if len(piece) > len(self._prefix) else piece
        return inner.removesuffix(self._suffix) if len(inner) > len(self._suffix) else inner
