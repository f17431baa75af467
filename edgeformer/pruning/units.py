"""What may be removed from a model: the heads and the feed-forward channels of each block.

Legend: H heads, d values a head, F feed-forward channels, E width of the residual stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from edgeformer_converters.ops import QuantizedLinear

from ..errors import ModelError, RecipeError
from ..families import Block, architecture_for
from ..model.base import Model

Kind = Literal["heads", "channels"]
KINDS: tuple[Kind, ...] = ("heads", "channels")


@dataclass(frozen=True)
class BlockScores:
    """How much each unit of one block matters; more is more. Only their order and ratios mean something."""

    heads: torch.Tensor  # float64 [H]
    channels: torch.Tensor  # float64 [F]

    def of(self, kind: Kind) -> torch.Tensor:
        """float64 [H] or [F]."""
        return self.heads if kind == "heads" else self.channels


@dataclass(frozen=True)
class Kept:
    """Indices of the heads and channels that stay in one block, ascending."""

    heads: tuple[int, ...]
    channels: tuple[int, ...]

    @classmethod
    def everything(cls, block: Block) -> Kept:
        """All units of ``block``."""
        return cls(tuple(range(block.heads)), tuple(range(block.channels)))


@dataclass(frozen=True)
class BlockShape:
    """The sizes that a block's costs depend on."""

    hidden: int  # E
    heads: int  # H
    head_dim: int  # d
    channels: int  # F
    ups: int  # linears into the channels: 2 in gated feed-forward layers
    bias: bool


def linear(module: torch.nn.Module, path: str) -> torch.nn.Linear:
    """The linear at ``path``; raises RecipeError for a quantized one, ModelError for any other layer."""
    layer = module.get_submodule(path)
    if isinstance(layer, QuantizedLinear):
        raise RecipeError(f"layer {path} is quantized already: put prune_structured before quantize")
    if type(layer) is not torch.nn.Linear:
        raise ModelError(f"layer {path}: expected torch.nn.Linear, got {type(layer).__name__}: it can't be pruned")
    return layer


def block_shape(module: torch.nn.Module, block: Block) -> BlockShape:
    """Sizes of ``block`` in ``module``."""
    query = linear(module, block.query)
    return BlockShape(
        hidden=query.in_features,
        heads=block.heads,
        head_dim=block.head_dim,
        channels=block.channels,
        ups=len(block.up),
        bias=query.bias is not None,
    )


def prunable_blocks(model: Model) -> tuple[Block, ...]:
    """The blocks of ``model``, checked: plain linears of fitting sizes, finite, none shared between two places.

    Raises:
        ModelError: the family has no layout, or a layer isn't what the layout says, is shared, or has NaN weights.
        RecipeError: a layer is quantized already.
    """
    module = model.module
    blocks = architecture_for(model.architecture).find_blocks(module)
    places: dict[int, list[str]] = {}
    for path, parameter in module.named_parameters(remove_duplicate=False):
        places.setdefault(id(parameter), []).append(path)
    for block in blocks:
        for path in block.linears:
            layer = linear(module, path)
            shared = places[id(layer.weight)]
            if len(shared) > 1:
                raise ModelError(
                    f"{shared[0]} and {shared[1]} are one tensor: cutting it would change both places. "
                    "Leave prune_structured out for models that share weights between blocks"
                )
            if not all(torch.isfinite(parameter).all() for parameter in layer.parameters()):
                raise ModelError(f"layer {path}: NaN or infinite weights: check how the model was saved")
        _check_sizes(module, block)
    return blocks


def _check_sizes(module: torch.nn.Module, block: Block) -> None:
    attention, channels = block.heads * block.head_dim, block.channels
    rows = [(path, linear(module, path).out_features, attention) for path in (block.query, block.key, block.value)]
    rows += [(path, linear(module, path).out_features, attention) for path in block.with_heads]
    rows += [(path, linear(module, path).out_features, channels) for path in block.up]
    rows.append((block.output, linear(module, block.output).in_features, attention))
    for path, got, expected in rows:
        if got != expected:
            raise ModelError(
                f"layer {path}: {got} values where {block.heads} heads of {block.head_dim} and {channels} channels "
                f"need {expected}: correct the family's layout in edgeformer/families"
            )
    for path in block.head_tables:
        if (columns := module.get_parameter(path).shape[-1]) != block.heads:
            raise ModelError(f"parameter {path}: {columns} columns where {block.heads} heads need as many")


def sizes(blocks: Sequence[Block]) -> list[dict[str, int]]:
    """Heads and channels of each block, for the report."""
    return [{"heads": block.heads, "channels": block.channels} for block in blocks]
