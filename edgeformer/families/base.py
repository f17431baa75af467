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
    head_tables: tuple[str, ...] = ()  # parameters [values, heads], in the blocks that have them
    fixed_heads: str | None = None  # why the number of heads can't differ from block to block, where it can't
    fixed_by: str | None = None  # regular expression: the parameter that fixes it; None: it is fixed in every model


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
    head_tables: tuple[str, ...] = ()  # parameters [values, heads]

    @property
    def stack(self) -> str:
        """Path of the ModuleList that holds it; between two of them a model may do anything (merge patches)."""
        return self.path.rpartition(".")[0]

    @property
    def linears(self) -> tuple[str, ...]:
        """Paths of all linears that pruning touches, in the order they run."""
        return (self.query, self.key, self.value, *self.with_heads, self.output, *self.up, self.down)


@dataclass(frozen=True)
class Towers:
    """How a family of two towers, for pictures and for texts, reads texts and compares the two.

    In every such family a text's vector doesn't depend on padding behind it: its tower is causal and read at the first
    end token, or ``fixed_length``: it is read at the last of all positions, so that texts are filled up to them.
    """

    fixed_length: bool = False
    sigmoid: bool = False  # a pair's score is a probability of its own; else a softmax over texts


@dataclass(frozen=True)
class Architecture:
    """A family's layers, as regular expressions on module paths; the first that matches gives the role."""

    name: str
    model_types: tuple[str, ...]
    roles: Sequence[tuple[str, Role]]
    blocks: str | None = None  # regular expression on the paths of the ModuleLists of blocks, one or several
    layout: BlockLayout | None = None
    no_layout: str | None = None  # why the blocks can't be described, where that is known
    images: str | None = None  # the file of edgeformer/exportable that rewrites it for one size of image
    towers: Towers | None = None  # of a family for pictures and texts

    def role(self, path: str) -> Role:
        """The role of the layer at ``path`` ("bert.encoder.layer.0.attention.self.query")."""
        if path.startswith(f"{SENTENCE_LAYERS}."):
            return "head"
        return next((role for pattern, role in self.roles if re.search(pattern, path)), "other")

    def block_lists(self, module: torch.nn.Module) -> tuple[tuple[str, torch.nn.ModuleList], ...]:
        """Paths and ModuleLists of the blocks, in the model's order.

        Raises:
            ModelError: the family has no description, or no ModuleList is where it says.
        """
        if self.no_layout is not None:
            raise ModelError(f"the family {self.name!r} has no blocks to cut: {self.no_layout}")
        if self.blocks is None or self.layout is None:
            raise ModelError(
                f"the family {self.name!r} has no description of its blocks. Add blocks and layout to "
                "edgeformer/families, see CONTRIBUTING.md"
            )
        found = tuple(
            (path, child)
            for path, child in module.named_modules()
            if isinstance(child, torch.nn.ModuleList) and re.search(self.blocks, path)
        )
        if not found:
            raise ModelError(f"family {self.name}: no ModuleList matches {self.blocks!r} in {type(module).__name__}")
        return found

    def block_modules(self, module: torch.nn.Module) -> tuple[tuple[str, torch.nn.Module], ...]:
        """Paths and modules of all blocks, in the model's order; raises ModelError as ``block_lists`` does."""
        lists = self.block_lists(module)
        return tuple((f"{path}.{place}", block) for path, blocks in lists for place, block in enumerate(blocks))

    def find_blocks(self, module: torch.nn.Module) -> tuple[Block, ...]:
        """Every block with its present numbers of heads and channels.

        Raises:
            ModelError: as ``block_lists`` does, or a block lacks a layer that the family's layout names.
        """
        modules, layout = self.block_modules(module), self.layout
        if layout is None:
            raise ModelError(f"the family {self.name!r} has no layout")
        try:
            return tuple(_block(path, index, block, layout) for index, (path, block) in enumerate(modules))
        except AttributeError as error:
            raise ModelError(
                f"family {self.name}: {type(module).__name__} isn't built as edgeformer/families says: {error}"
            ) from error

    def fixed_heads(self, module: torch.nn.Module) -> str | None:
        """Why the number of heads can't differ from block to block in ``module``; None where it can."""
        layout = self.layout
        if layout is None or layout.fixed_by is None:
            return None if layout is None else layout.fixed_heads
        names = (name for name, _ in module.named_parameters())
        return layout.fixed_heads if any(re.search(layout.fixed_by, name) for name in names) else None


def _block(path: str, index: int, block: torch.nn.Module, layout: BlockLayout) -> Block:
    attention = block.get_submodule(layout.attention)
    down = block.get_submodule(layout.down)
    names = {name for name, _ in block.named_parameters(remove_duplicate=False)}
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
        with_heads=tuple(f"{path}.{name}" for name in layout.with_heads if f"{name}.weight" in names),
        head_tables=tuple(f"{path}.{name}" for name in layout.head_tables if name in names),
    )
