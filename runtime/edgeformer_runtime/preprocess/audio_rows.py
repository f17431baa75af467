"""Sounds, one a row."""

from __future__ import annotations

import warnings
from typing import Any, Callable, List, Optional, Sequence

from ..errors import InputError
from .audio import AudioEncoder, AudioPreprocess
from .base import Encoded, Input


class AudioRows:
    """See ``registry.Encoder``."""

    def __init__(self, preprocess: AudioPreprocess) -> None:
        self._encoder = AudioEncoder(preprocess)

    def rows(self, items: Sequence[Any]) -> List[Any]:
        """Paths of WAV files, their bytes, arrays, or (array, rate in Hz)."""
        if not isinstance(items, (list, tuple)):
            raise InputError(f"predict: expected a list of sounds, got {type(items).__name__}: put it in a list")
        return list(items)

    def encode_row(self, row: Any, prompt: Optional[str] = None) -> Encoded:
        """One sound; what was done to it (resampled, cut) becomes a warning."""
        if prompt:
            raise InputError(f"prompt {prompt!r}: this model takes sounds, which have none")
        try:
            made = self._encoder.encode([row])
        except InputError as error:
            raise InputError(f"predict: this model takes sounds: {error}") from error
        for note in made.notes:
            warnings.warn(note, stacklevel=2)
        return Encoded(made.feeds, truncated=made.truncated[0])


def audio_encoder(preprocess: AudioPreprocess, _read: Callable[[str], bytes], _inputs: Sequence[Input]) -> AudioRows:
    """See ``registry``."""
    return AudioRows(preprocess)
