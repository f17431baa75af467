"""Where a family keeps its attention, feed-forward, embedding and head layers.

One family a file; ``ARCHITECTURES`` lists them. A model of another family gets ``generic``'s reading of its layer
names, which is enough for passes that don't change structure.
"""

from __future__ import annotations

from . import (
    beit,
    bert,
    clip,
    deberta,
    deit,
    dinov2,
    distilbert,
    generic,
    longformer,
    modernbert,
    mpnet,
    roberta,
    siglip,
    swin,
    vit,
)
from .base import ROLES, Architecture, Block, BlockLayout, Role

ARCHITECTURES: tuple[Architecture, ...] = (
    bert.ARCHITECTURE,
    deberta.ARCHITECTURE_V1,
    deberta.ARCHITECTURE_V2,
    distilbert.ARCHITECTURE,
    longformer.ARCHITECTURE,
    modernbert.ARCHITECTURE,
    mpnet.ARCHITECTURE,
    roberta.ARCHITECTURE,
    # of images, and of images with texts
    beit.ARCHITECTURE,
    clip.ARCHITECTURE,
    deit.ARCHITECTURE,
    dinov2.ARCHITECTURE,
    siglip.ARCHITECTURE,
    swin.ARCHITECTURE,
    vit.ARCHITECTURE,
)


def architecture_for(model_type: str) -> Architecture:
    """The description of a family by transformers' ``model_type``; ``generic`` when it has none."""
    return next((item for item in ARCHITECTURES if model_type in item.model_types), generic.ARCHITECTURE)


__all__ = ["ARCHITECTURES", "ROLES", "Architecture", "Block", "BlockLayout", "Role", "architecture_for"]
