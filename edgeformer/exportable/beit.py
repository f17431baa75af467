"""BEiT: the bias of relative positions, interpolated once for one size of image."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from . import vision


class RelativePositionBias(torch.nn.Module):
    """Stands where a BeitRelativePositionBias stood: its table for one grid of patches, and which rows to take.

    Legend: T tokens (the class token and the patches), H heads.
    """

    def __init__(self, bias: Any, rows: int, columns: int) -> None:
        super().__init__()
        table = bias.relative_position_bias_table
        old_rows, old_columns = (2 * size - 1 for size in bias.window_size)
        grid = table[: old_rows * old_columns].reshape(1, old_columns, old_rows, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(2 * rows - 1, 2 * columns - 1), mode="bilinear")
        patches = grid.permute(0, 2, 3, 1).reshape(-1, table.shape[1])
        made = torch.cat([patches, table[old_rows * old_columns :]])  # the last three are those of the class token
        self.relative_position_bias_table = torch.nn.Parameter(made, requires_grad=table.requires_grad)
        index = bias.generate_relative_position_index((rows, columns))
        self.tokens = len(index)
        self.register_buffer("index", index.reshape(-1), persistent=False)

    def forward(self, *_: Any, **__: Any) -> torch.Tensor:
        """float [1, H, T, T]."""
        index: torch.Tensor = self.index  # type: ignore[assignment]
        bias = F.embedding(index, self.relative_position_bias_table)
        return bias.reshape(self.tokens, self.tokens, -1).permute(2, 0, 1)[None]

    def extra_repr(self) -> str:
        """What the table is for."""
        return f"tokens={self.tokens}"


def make_exportable(module: torch.nn.Module, height: int, width: int) -> None:
    """Rewrite ``module``, in place, for images of ``height`` × ``width``; raises ModelError for sizes it can't take."""
    vision.make_exportable(module, height, width)
    patch = int(module.config.patch_size)  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        for path, part in list(module.named_modules()):
            if hasattr(part, "generate_relative_position_index"):
                parent, _, leaf = path.rpartition(".")
                made = RelativePositionBias(part, height // patch, width // patch)
                setattr(module.get_submodule(parent), leaf, made)
