"""Formats and pruning chosen together: each layer of a block may be cut by one of a few ratios, all of a block alike.

The damage of pruning is the block's own, measured by pruning it alone; a layer's damage in a format is taken to be the
same whatever is left of it. What the whole then loses is measured afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import InputError
from ..families import Block
from ..sensitivity.candidates import FLOAT, stored_bytes
from ..sensitivity.profile import Profile
from .knapsack import Option, Plan, Unit
from .latency_table import LatencyTable

Shape = tuple[int, int]


@dataclass(frozen=True)
class BlockCut:
    """What a block keeps when it is cut by ``ratio``, and the shapes [R, C] that its linears then have."""

    index: int
    ratio: float
    heads: int
    channels: int
    shapes: Mapping[str, Shape]


def cut(block: Block, ratio: float, round_to: int, shapes: Mapping[str, Shape], *, heads_fixed: bool) -> BlockCut:
    """``block`` without ``ratio`` of its heads and channels: at least one head, channels in multiples of ``round_to``.

    Args:
        block: with its present counts.
        ratio: share to remove, 0 ≤ ratio < 1.
        round_to: channels are kept in multiples of it; fewer than that stay as they are.
        shapes: [R, C] of the block's linears by path.
        heads_fixed: the family can't have blocks with fewer heads.
    """
    heads = block.heads if heads_fixed else max(1, round(block.heads * (1 - ratio)))
    groups = max(1, round(block.channels * (1 - ratio) / round_to))
    channels = min(block.channels, groups * round_to)
    width = heads * block.head_dim
    cut_shapes: dict[str, Shape] = {}
    for path in block.linears:
        rows, columns = shapes[path]
        if path in (block.query, block.key, block.value, *block.with_heads):
            rows = width
        elif path == block.output:
            columns = width
        elif path in block.up:
            rows = channels
        else:
            columns = channels
        cut_shapes[path] = (rows, columns)
    return BlockCut(block.index, ratio, heads, channels, cut_shapes)


def with_pruning(
    units: Sequence[Unit],
    profile: Profile,
    cuts: Sequence[BlockCut],
    latency_table: LatencyTable | None = None,
) -> tuple[Unit, ...]:
    """The units with an option for each cut of their block, and a unit a block that carries the damage of pruning.

    Raises:
        InputError: the profile holds no damage for a cut.
    """
    by_path: dict[str, list[BlockCut]] = {}
    for item in cuts:
        for path in item.shapes:
            by_path.setdefault(path, []).append(item)
    made = [_with_cuts(unit, by_path.get(unit.name, []), latency_table) for unit in units]
    for index in sorted({item.index for item in cuts}):
        options = [Option(None, 0.0, 0, 0.0)]
        for item in (item for item in cuts if item.index == index):
            damage = profile.prune.get(index, {}).get(item.ratio)
            if damage is None:
                raise InputError(f"allocate: the profile holds no damage of block {index} pruned by {item.ratio}")
            options.append(Option(None, damage, 0, 0.0, prune=item.ratio))
        made.append(Unit(_name(index), tuple(options), group=index))
    return tuple(made)


def cuts_of(plan: Plan, cuts: Sequence[BlockCut]) -> dict[str, dict[str, int]]:
    """What ``prune_structured`` is to keep, {"0": {"heads": 8, "channels": 768}}, for the blocks that a plan prunes."""
    ratios = plan.pruning
    return {
        str(item.index): {"heads": item.heads, "channels": item.channels}
        for item in cuts
        if ratios.get(_name(item.index)) == item.ratio
    }


def shapes_to_measure(shapes: Collection[Shape], cuts: Sequence[BlockCut]) -> list[Shape]:
    """Every shape that a plan can lead to, each once."""
    return list(dict.fromkeys([*shapes, *(shape for item in cuts for shape in item.shapes.values())]))


def _name(index: int) -> str:
    return f"pruning of block {index}"


def _with_cuts(unit: Unit, cuts: Sequence[BlockCut], table: LatencyTable | None) -> Unit:
    if not cuts:
        return unit
    options = list(unit.options)
    for item in cuts:
        shape = item.shapes[unit.name]
        for option in unit.options:
            size_bytes = _bytes(shape, option.format or FLOAT)
            if size_bytes is None:
                continue
            latency_ms = None if table is None else table.latency_ms(shape, option.format or FLOAT)
            options.append(replace(option, size_bytes=size_bytes, latency_ms=latency_ms, prune=item.ratio))
    return Unit(unit.name, tuple(options), group=cuts[0].index)


def _bytes(shape: Shape, format: str) -> int | None:
    """Bytes of the cut weight; None where its columns can't be cut into the format's blocks."""
    from edgeformer_converters.ops import WeightFormat

    block_size = None if format == FLOAT else WeightFormat.parse(format).block_size
    return None if block_size is not None and shape[1] % block_size else stored_bytes(shape, format)
