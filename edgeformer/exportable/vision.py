"""ViT, DeiT, DINOv2 and other encoders of images: patches by a Linear, positions for one size, attention without mask.

Every patch sees every other. When they are traced, families make a mask that says so all the same: operators in each
block of the graph that add zeros.
"""

from __future__ import annotations

from typing import Any

import torch

from ..attention.registry import use
from .image_positions import fix_positions
from .patch_embedding import linear_patches

IMPLEMENTATION = "edgeformer_images"


def make_exportable(module: torch.nn.Module, height: int, width: int) -> None:
    """Rewrite ``module``, in place, for images of ``height`` × ``width``; raises ModelError for sizes it can't take."""
    from transformers import AttentionInterface

    fix_images(module, height, width)
    # transformers makes no mask for a function that has none registered beside it
    AttentionInterface.register(IMPLEMENTATION, attend)
    use(module, IMPLEMENTATION)


def fix_images(module: torch.nn.Module, height: int, width: int) -> None:
    """The part that holds for towers beside others, too: patches and positions."""
    fix_positions(module, height, width)
    linear_patches(module)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """transformers' attention function: [B, H, S, D] three times to [B, S, H, D], and the weights [B, H, S, S].

    ``attention_mask`` is added to the scores: a family's bias of relative positions.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query * scale @ key.transpose(-1, -2)
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = torch.softmax(scores, dim=-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights
