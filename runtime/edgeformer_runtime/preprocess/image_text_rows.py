"""Pictures with texts, (picture, text) a row."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence

from ..errors import InputError
from .base import Encoded
from .registry import Encoder


class ImageTextRows:
    """See ``registry.Encoder``; made of the two for pictures and for texts."""

    def __init__(self, image: Encoder, text: Encoder) -> None:
        self._image, self._text = image, text

    def rows(self, items: Sequence[Any]) -> List[Any]:
        """Tuples of a picture, as for a model of pictures, and a text."""
        if not isinstance(items, (list, tuple)):
            raise InputError(f"predict: expected a list of (picture, text), got {type(items).__name__}")
        for index, item in enumerate(items):
            if not isinstance(item, (list, tuple)) or len(item) != 2 or not isinstance(item[1], str):
                raise InputError(f"predict: row {index}: this model takes (picture, text), got {item!r:.80}")
        pictures = self._image.rows([item[0] for item in items])
        texts = self._text.rows([item[1] for item in items])
        return list(zip(pictures, texts))

    def encode_row(self, row: Any, prompt: Optional[str] = None) -> Encoded:
        """One picture and its text."""
        text = self._text.encode_row(row[1], prompt)
        picture = self._image.encode_row(row[0])
        return Encoded({**picture.feeds, **text.feeds}, text.tokens, text.truncated, text.tokens_cut)
