"""image-feature-extraction: one vector a picture, embedding [B, H]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from .base import Reads
from .feature_extraction import FeatureExtraction


@dataclass(frozen=True)
class ImageFeatureExtraction(FeatureExtraction):
    """The family's own vector: projected, or pooled; else the first position's, [CLS]."""

    reads: Reads = "image"
    pools: ClassVar[bool] = False

    def select(self, result: Any) -> tuple[torch.Tensor, ...]:
        for name in ("image_embeds", "pooler_output"):
            if getattr(result, name, None) is not None:
                return (getattr(result, name),)
        return (result.last_hidden_state[:, 0],)
