"""Pictures, one a row."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence

from ..errors import InputError
from .base import Encoded, Input
from .image_encoder import ImageEncoder
from .image_preprocess import ImagePreprocess


class ImageRows:
    """See ``registry.Encoder``."""

    def __init__(self, preprocess: ImagePreprocess) -> None:
        self._encoder = ImageEncoder(preprocess)

    def rows(self, items: Sequence[Any]) -> List[Any]:
        """Paths, bytes, arrays or pictures of Pillow's."""
        if not isinstance(items, (list, tuple)):
            raise InputError(f"predict: expected a list of pictures, got {type(items).__name__}: put it in a list")
        return list(items)

    def encode_row(self, row: Any, prompt: Optional[str] = None) -> Encoded:
        """One picture."""
        if prompt:
            raise InputError(f"prompt {prompt!r}: this model takes pictures, which have none")
        try:
            return self._encoder.encode(row)
        except InputError as error:
            raise InputError(f"predict: this model takes pictures: {error}") from error


def image_encoder(preprocess: ImagePreprocess, _read: Callable[[str], bytes], _inputs: Sequence[Input]) -> ImageRows:
    """See ``registry``."""
    return ImageRows(preprocess)
