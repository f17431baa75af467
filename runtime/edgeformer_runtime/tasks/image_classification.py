"""image-classification: labels for a picture, by the rules for texts, ``text_classification.py``."""

from __future__ import annotations

from typing import ClassVar, Optional

from .text_classification import TextClassification


class ImageClassification(TextClassification):
    """Output: logits [1, labels], or [1, 1] for a number."""

    reads: ClassVar[Optional[str]] = "image"
