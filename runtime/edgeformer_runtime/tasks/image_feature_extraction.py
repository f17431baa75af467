"""image-feature-extraction: a vector for a picture, to be compared with those of others."""

from __future__ import annotations

from typing import ClassVar, Optional, Tuple

from .feature_extraction import FeatureExtraction


class ImageFeatureExtraction(FeatureExtraction):
    """Output: [1, dimensions]."""

    reads: ClassVar[Optional[str]] = "image"
    embeds: ClassVar[Tuple[str, ...]] = ("image",)
