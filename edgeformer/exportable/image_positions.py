"""Position embeddings of images at one size: interpolated once, and constants from then on.

Families interpolate them in every run, or whenever they are traced, with an operator that Core ML doesn't have.
"""

from __future__ import annotations

from typing import Any

import torch

from ..errors import ModelError


def fix_positions(module: torch.nn.Module, height: int, width: int) -> None:
    """Give every embedding of images in ``module``, in place, the positions for images of ``height`` × ``width``.

    Raises:
        ModelError: the family takes square images only, or the size is smaller than a patch.
    """
    for embeddings in list(module.modules()):
        if hasattr(embeddings, "interpolate_pos_encoding") and not isinstance(embeddings, _FixedPositions):
            _fix(embeddings, height, width)


class _FixedPositions(torch.nn.Module):
    """Embeddings of a family whose positions hold for one size."""

    def interpolate_pos_encoding(self, embeddings: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """The positions [1, tokens, values] as they are."""
        positions: torch.Tensor = self.position_embeddings  # type: ignore[assignment]
        return positions


def _fix(embeddings: Any, height: int, width: int) -> None:
    table = getattr(embeddings, "position_embedding", None)
    positions = table.weight[None] if table is not None else embeddings.position_embeddings
    if positions is not None:
        patch = embeddings.patch_size
        patch_height, patch_width = (patch, patch) if isinstance(patch, int) else patch
        own = getattr(embeddings, "num_patches", None) or embeddings.patch_embeddings.num_patches
        patches = (height // patch_height) * (width // patch_width)
        if patches == 0:
            raise ModelError(f"an image of {height}x{width} pixels has no patch of {patch_height}x{patch_width}")
        tokens = torch.empty(1, patches + positions.shape[1] - own, positions.shape[2])
        with torch.no_grad():
            made = embeddings.interpolate_pos_encoding(tokens, height, width).clone()
        if table is not None:
            _put_table(embeddings, made[0])
        else:
            embeddings.position_embeddings = torch.nn.Parameter(made, requires_grad=positions.requires_grad)
    _put_size(embeddings, height, width)
    if table is None:  # families with a table look up its rows unless they are asked to interpolate
        kind = type(embeddings)
        if kind not in _CLASSES:
            _CLASSES[kind] = type(f"Fixed{kind.__name__}", (_FixedPositions, kind), {})
        embeddings.__class__ = _CLASSES[kind]


def _put_table(embeddings: Any, rows: torch.Tensor) -> None:
    old = embeddings.position_embedding
    embeddings.position_embedding = torch.nn.Embedding(len(rows), rows.shape[1], _weight=rows)
    embeddings.position_embedding.weight.requires_grad_(old.weight.requires_grad)
    embeddings.position_ids = torch.arange(len(rows))[None]


def _put_size(embeddings: Any, height: int, width: int) -> None:
    """Let the family's own check of an image's size ask for this one."""
    holders: tuple[Any, ...] = (embeddings, getattr(embeddings, "patch_embeddings", None))
    for holder in holders:
        size = getattr(holder, "image_size", None)
        if isinstance(size, int):
            if height != width:
                raise ModelError(f"{type(embeddings).__name__} takes square images, got {height}x{width} pixels")
            holder.image_size = height
        elif size is not None:
            holder.image_size = (height, width)


_CLASSES: dict[type, type] = {}
