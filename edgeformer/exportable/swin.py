"""Swin: windows, shifts, padding and masks of each block for one size of image, in at most four dimensions.

The family's own code works them out again in every run, cuts windows in six dimensions, which Core ML doesn't have,
and shifts by an operator that no engine has.

Legend: B rows, N × M tokens, w tokens along a side of a window, W windows, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from ..errors import ModelError
from . import vision


def make_exportable(module: torch.nn.Module, height: int, width: int) -> None:
    """Rewrite ``module``, in place, for images of ``height`` × ``width``; raises ModelError for sizes it can't take."""
    vision.make_exportable(module, height, width)
    for model in list(module.modules()):
        if hasattr(model, "encoder") and hasattr(model.encoder, "layers"):
            patch_height, patch_width = model.embeddings.patch_embeddings.patch_size  # type: ignore[union-attr, misc]
            size = (-(-height // patch_height), -(-width // patch_width))
            for stage in model.encoder.layers:  # type: ignore[union-attr]
                for block in stage.blocks:
                    if not isinstance(block, _FixedBlock):
                        _fix(block, *size)
                if stage.downsample is not None and not isinstance(stage.downsample, _Merging):
                    stage.downsample = _Merging(stage.downsample, *size)
                size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
            if model.pooler is not None:
                model.pooler = _Mean()


class _Merging(torch.nn.Module):
    """A SwinPatchMerging at one size: each 2 × 2 neighbours become one token, without steps in a slice."""

    def __init__(self, merging: Any, rows: int, columns: int) -> None:
        super().__init__()
        self.norm, self.reduction = merging.norm, merging.reduction
        self.size = (rows, columns)

    def forward(self, hidden_states: torch.Tensor, *_: Any) -> torch.Tensor:
        """float [B, N·M, C] to [B, ⌈N/2⌉·⌈M/2⌉, 2·C]."""
        rows, columns = self.size
        channels = hidden_states.shape[2]
        grid = hidden_states.reshape(-1, rows, columns, channels)
        if rows % 2 or columns % 2:
            grid = F.pad(grid, (0, 0, 0, columns % 2, 0, rows % 2))
        pairs = grid.reshape(-1, 2, (columns + 1) // 2, 2 * channels)  # [B·⌈N/2⌉, 2, ⌈M/2⌉, 2·C]
        parts = [pairs[:, row, :, at : at + channels] for at in (0, channels) for row in (0, 1)]
        merged = torch.cat(parts, dim=-1).reshape(-1, ((rows + 1) // 2) * ((columns + 1) // 2), 4 * channels)
        made: torch.Tensor = self.reduction(self.norm(merged))
        return made


class _Mean(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=2, keepdim=True)


def _fix(block: Any, rows: int, columns: int) -> None:
    own = block.attention.relative_position_bias.window_size[0]
    if min(rows, columns) < own:
        raise ModelError(
            f"Swin: a stage would have {rows}x{columns} tokens for windows of {own}x{own}: give it larger images"
        )
    block.set_shift_and_window_size((rows, columns))
    window, shift = int(block.window_size), int(block.shift_size)
    block.window_size, block.shift_size = window, shift
    block.size = (rows, columns)
    block.padded = (-(-rows // window) * window, -(-columns // window) * window)
    block.register_buffer("mask", block.get_attn_mask(*block.padded, torch.float32, None), persistent=False)
    kind = type(block)
    if kind not in _CLASSES:
        _CLASSES[kind] = type(f"Fixed{kind.__name__}", (_FixedBlock, kind), {})
    block.__class__ = _CLASSES[kind]


class _FixedBlock(torch.nn.Module):
    """A SwinLayer's forward at one size."""

    attention: torch.nn.Module
    layernorm_before: torch.nn.Module
    layernorm_after: torch.nn.Module
    mlp: torch.nn.Module
    mask: torch.Tensor | None  # [W, w², w²], where windows are shifted: which tokens were no neighbours before
    size: tuple[int, int]  # N, M
    padded: tuple[int, int]  # both, to whole windows
    window_size: int
    shift_size: int

    def forward(self, hidden_states: torch.Tensor, *_: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """float [B, N·M, C] to the same, and the attention's weights."""
        kwargs.pop("always_partition", None)
        channels = hidden_states.shape[2]
        grid = self.layernorm_before(hidden_states).reshape(-1, *self.size, channels)
        if self.padded != self.size:
            missing = [whole - part for whole, part in zip(self.padded, self.size, strict=True)]
            grid = F.pad(grid, (0, 0, 0, missing[1], 0, missing[0]))
        attended, weights = self.attention(self._windows(_rolled(grid, self.shift_size)), self.mask, **kwargs)
        grid = _rolled(self._joined(attended), -self.shift_size)[:, : self.size[0], : self.size[1]]
        hidden_states = hidden_states + grid.reshape(-1, self.size[0] * self.size[1], channels)
        return hidden_states + self.mlp(self.layernorm_after(hidden_states)), weights

    def _windows(self, grid: torch.Tensor) -> torch.Tensor:
        """[B, N, M, C], padded, to [B·W, w², C]."""
        window, channels = self.window_size, grid.shape[3]
        strips = grid.reshape(-1, window, self.padded[1] // window, window * channels)
        return strips.transpose(1, 2).reshape(-1, window * window, channels)

    def _joined(self, windows: torch.Tensor) -> torch.Tensor:
        """The inverse of ``_windows``."""
        window, channels = self.window_size, windows.shape[2]
        strips = windows.reshape(-1, self.padded[1] // window, window, window * channels)
        return strips.transpose(1, 2).reshape(-1, *self.padded, channels)


def _rolled(grid: torch.Tensor, by: int) -> torch.Tensor:
    """[B, N, M, C] with the first ``by`` rows and columns put behind the others; a negative ``by`` takes the last."""
    if by == 0:
        return grid
    grid = torch.cat([grid[:, by:], grid[:, :by]], dim=1)
    return torch.cat([grid[:, :, by:], grid[:, :, :by]], dim=2)


_CLASSES: dict[type, type] = {}
