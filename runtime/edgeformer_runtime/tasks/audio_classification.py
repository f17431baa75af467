"""audio-classification: labels for a sound, by the rules for texts, ``text_classification.py``."""

from __future__ import annotations

from typing import ClassVar, Optional

from .text_classification import TextClassification


class AudioClassification(TextClassification):
    """Output: logits [1, labels], or [1, 1] for a number."""

    reads: ClassVar[Optional[str]] = "audio"
