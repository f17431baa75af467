"""Architecture: which role each layer of a family plays, and where its blocks keep their heads and channels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from ..errors import ModelError
from ..tasks.sentence_layers import SENTENCE_LAYERS

Role = Literal["embedding", "attention", "feed_forward", "pooler", "head", "other"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class BlockLayout:
    """Names inside one transformer block, relative to it; the same in every block of a family.

    ``query``, ``key`` and ``value`` are linears of heads · head_dim rows, ``output`` has as many columns. ``up`` are
    the linears whose rows are the feed-forward channels (two where one gates the other), ``down`` has them as columns.
    ``attention`` is the module that holds the three counts named by the last fields.
    """

    query: str
    key: str
    value: str
    output: str
    up: tuple[str, ...]
    down: str
    attention: str
    heads: str = "num_attention_heads"
    head_dim: str = "attention_head_size"
    width: str | None = "all_head_size"  # heads · head_dim, where the family keeps it
    config_channels: str = "intermediate_size"  # the config's name of the feed-forward width
    with_heads: tuple[str, ...] = ()  # further linears whose rows are the heads', in the blocks that have them
    fixed_heads: str | None = None  # why the number of heads can't differ from block to block, where it can't


@dataclass(frozen=True)
class Block:
    """One block of a model: its path, and its layers by their full paths."""

    path: str
    index: int
    query: str
    key: str
    value: str
    output: str
    up: tuple[str, ...]
    down: str
    attention: str
    heads: int
    head_dim: int
    channels: int  # feed-forward width
    with_heads: tuple[str, ...] = ()  # further linears whose rows are the heads'

    @property
    def linears(self) -> tuple[str, ...]:
        """Paths of all linears that pruning touches, in the order they run."""
        return (self.query, self.key, self.value, *self.with_heads, self.output, *self.up, self.down)


@dataclass(frozen=True)
class Architecture:
    """A family's layers, as regular expressions on module paths; the first that matches gives the role."""

    name: str
    model_types: tuple[str, ...]
    roles: Sequence[tuple[str, Role]]
    blocks: str | None = None  # regular expression on the path of the ModuleList of blocks
    layout: BlockLayout | None = None
    no_layout: str | None = None  # why the blocks can't be described, where that is known

    def role(self, path: str) -> Role:
        """The role of the layer at ``path`` ("bert.encoder.layer.0.attention.self.query")."""
        if path.startswith(f"{SENTENCE_LAYERS}."):
            return "head"
        return next((role for pattern, role in self.roles if re.search(pattern, path)), "other")

    def block_list(self, module: torch.nn.Module) -> tuple[str, torch.nn.ModuleList]:
        """Path and ModuleList of the blocks; raises ModelError where the family has no description or none is found."""
        if self.no_layout is not None:
            raise ModelError(f"the family {self.name!r} has no blocks to cut: {self.no_layout}")
        if self.blocks is None or self.layout is None:
            raise ModelError(
                f"the family {self.name!r} has no description of its blocks. Add blocks and layout to "
                "edgeformer/architectures, see CONTRIBUTING.md"
            )
        for path, child in module.named_modules():
            if isinstance(child, torch.nn.ModuleList) and re.search(self.blocks, path):
                return path, child
        raise ModelError(f"family {self.name}: no ModuleList matches {self.blocks!r} in {type(module).__name__}")

    def find_blocks(self, module: torch.nn.Module) -> tuple[Block, ...]:
        """Every block with its present numbers of heads and channels; raises ModelError as ``block_list`` does."""
        path, blocks = self.block_list(module)
        layout = self.layout
        if layout is None:
            raise ModelError(f"the family {self.name!r} has no layout")
        return tuple(_block(f"{path}.{index}", index, block, layout) for index, block in enumerate(blocks))


def _block(path: str, index: int, block: torch.nn.Module, layout: BlockLayout) -> Block:
    attention = block.get_submodule(layout.attention)
    down = block.get_submodule(layout.down)
    return Block(
        path=path,
        index=index,
        query=f"{path}.{layout.query}",
        key=f"{path}.{layout.key}",
        value=f"{path}.{layout.value}",
        output=f"{path}.{layout.output}",
        up=tuple(f"{path}.{name}" for name in layout.up),
        down=f"{path}.{layout.down}",
        attention=f"{path}.{layout.attention}",
        heads=int(getattr(attention, layout.heads)),
        head_dim=int(getattr(attention, layout.head_dim)),
        channels=int(down.in_features),  # type: ignore[arg-type]
        with_heads=tuple(f"{path}.{name}" for name in layout.with_heads if _has(block, name)),
    )


def _has(block: torch.nn.Module, name: str) -> bool:
    parent, _, leaf = name.rpartition(".")
    return hasattr(block.get_submodule(parent), leaf)
