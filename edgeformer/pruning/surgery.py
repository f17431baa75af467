"""The cut itself: smaller linears, counts that say so, whole blocks gone. Nothing of what was removed is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..errors import ModelError, RecipeError
from ..families import Architecture, Block
from .units import Kept, linear

Rows = Sequence[int]


def prune_block(module: torch.nn.Module, block: Block, architecture: Architecture, kept: Kept) -> None:
    """Keep only the heads and channels in ``kept``, changing ``module`` in place.

    Raises:
        RecipeError: heads are to go in a family where all blocks must have the same number, or nothing would be left.
    """
    layout = architecture.layout
    if layout is None:
        raise ModelError(f"the family {architecture.name!r} has no layout: add one to edgeformer/families")
    if not kept.heads or not kept.channels:
        raise RecipeError(f"block {block.index}: nothing would be left of it; remove it whole with layers = [...]")
    if len(kept.heads) < block.heads:
        if (fixed := architecture.fixed_heads(module)) is not None:
            raise RecipeError(f"family {architecture.name}: heads can't be removed, since {fixed}")
        columns = head_columns(kept.heads, block.head_dim)
        for path in (block.query, block.key, block.value, *block.with_heads):
            _replace(module, path, keep_rows(linear(module, path), columns))
        _replace(module, block.output, keep_columns(linear(module, block.output), columns))
        for path in block.head_tables:
            table = module.get_parameter(path)
            _replace(module, path, _parameter(table[:, torch.tensor(kept.heads)], table))
        attention = module.get_submodule(block.attention)
        setattr(attention, layout.heads, len(kept.heads))
        if layout.width is not None:
            setattr(attention, layout.width, len(columns))
    if len(kept.channels) < block.channels:
        for path in block.up:
            _replace(module, path, keep_rows(linear(module, path), kept.channels))
        _replace(module, block.down, keep_columns(linear(module, block.down), kept.channels))


def remove_layers(module: torch.nn.Module, architecture: Architecture, indices: Sequence[int]) -> None:
    """Remove whole blocks, changing ``module`` in place; the config's number of layers follows.

    Raises:
        RecipeError: an index that isn't there, or all of them.
    """
    lists = architecture.block_lists(module)
    total = sum(len(blocks) for _, blocks in lists)
    unknown = [index for index in indices if not 0 <= index < total]
    if unknown:
        raise RecipeError(f"layers: {unknown[0]} is not among the model's blocks 0…{total - 1}")
    if len(set(indices)) == total:
        raise RecipeError(f"layers: all {total} blocks would be removed; keep at least one")
    left, first = [], 0
    for path, blocks in lists:
        left.append([block for place, block in enumerate(blocks) if first + place not in set(indices)])
        first += len(blocks)
        _replace(module, path, torch.nn.ModuleList(left[-1]))
    for index, block in enumerate(block for blocks in left for block in blocks):
        for part in block.modules():
            if hasattr(part, "layer_idx"):
                part.layer_idx = index  # type: ignore[assignment]
    config: Any = getattr(module, "config", None)
    if hasattr(config, "depths"):  # of a hierarchical family: blocks by stack
        config.depths = [len(blocks) for blocks in left]
    elif hasattr(config, "num_hidden_layers"):
        config.num_hidden_layers = len(left[0])


def update_config(module: torch.nn.Module, architecture: Architecture) -> None:
    """Let the config name the feed-forward width where all blocks have the same.

    The head count stays: transformers derives the head's size from it, and that is unchanged. Each attention module
    holds its own count.
    """
    widths = {block.channels for block in architecture.find_blocks(module)}
    config = getattr(module, "config", None)
    if architecture.layout is not None and len(widths) == 1 and hasattr(config, architecture.layout.config_channels):
        setattr(config, architecture.layout.config_channels, widths.pop())


def head_columns(heads: Rows, head_dim: int) -> list[int]:
    """The columns of the concatenated heads that belong to ``heads``: [len(heads) · head_dim]."""
    return [head * head_dim + offset for head in heads for offset in range(head_dim)]


def keep_rows(layer: torch.nn.Linear, rows: Rows) -> torch.nn.Linear:
    """A linear with only the outputs ``rows``."""
    index = torch.tensor(list(rows))
    return make_linear(layer, layer.weight[index], None if layer.bias is None else layer.bias[index])


def keep_columns(layer: torch.nn.Linear, columns: Rows) -> torch.nn.Linear:
    """A linear with only the inputs ``columns``."""
    return make_linear(layer, layer.weight[:, torch.tensor(list(columns))], layer.bias)


def make_linear(like: torch.nn.Linear, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.nn.Linear:
    """A linear with a copy of ``weight`` [out, in] and ``bias`` [out], else as ``like``."""
    made = torch.nn.Linear(
        weight.shape[1], weight.shape[0], bias=bias is not None, device="meta", dtype=like.weight.dtype
    )
    made.weight = _parameter(weight, like.weight)
    if bias is not None:
        made.bias = _parameter(bias, like.weight)
    return made.train(like.training)


def _parameter(values: torch.Tensor, like: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(values.detach().to(like.dtype).clone().contiguous(), requires_grad=like.requires_grad)


def _replace(module: torch.nn.Module, path: str, made: torch.nn.Module | torch.nn.Parameter) -> None:
    parent, _, leaf = path.rpartition(".")
    setattr(module.get_submodule(parent), leaf, made)
