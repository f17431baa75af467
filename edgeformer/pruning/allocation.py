"""Which heads and channels go, so that a target is met at the least loss of importance.

Units are removed in groups (a head; ``round_to`` channels), least importance per cost first, until the budget of their
pool is used. A pool is what competes with each other: all blocks (global) or one block (per_layer).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from ..errors import RecipeError
from .costs import Costs, UnitCosts
from .units import KINDS, BlockScores, BlockShape, Kept, Kind

Allocation = Literal["global", "per_layer"]


@dataclass(frozen=True)
class Budget:
    """How much to remove.

    Args:
        heads: share of the heads, 0…1.
        channels: share of the feed-forward channels, 0…1.
        amount: instead of both, share of the blocks' cost (in the unit of ``costs``).
        costs: what the shares are of; each unit counts one for ``heads`` and ``channels``.
    """

    heads: float = 0.0
    channels: float = 0.0
    amount: float | None = None
    costs: Costs = field(default_factory=UnitCosts)


@dataclass(frozen=True)
class _Group:
    """Units of one block that go together."""

    block: int
    kind: Kind
    units: tuple[int, ...]
    cost: float
    rank: tuple[float, int, int]  # importance per cost; then block and position, so that ties have one order


def allocate(
    shapes: Sequence[BlockShape],
    scores: Sequence[BlockScores],
    budget: Budget,
    allocation: Allocation,
    round_to: int,
    *,
    heads_fixed: bool = False,
) -> list[Kept]:
    """What stays in each block: at least one head and ``round_to`` channels.

    Shares of heads and channels are met as closely as whole groups allow, an ``amount`` is met or exceeded.

    Raises:
        RecipeError: the budget would take every head or channel of a block.
    """
    kinds: tuple[Kind, ...] = ("channels",) if heads_fixed else KINDS
    removed: set[tuple[int, Kind, int]] = set()
    for pool_kinds, blocks, share, name in _pools(len(shapes), budget, allocation, kinds):
        groups = [
            group
            for block in blocks
            for kind in pool_kinds
            for group in _groups(block, kind, shapes[block], scores[block].of(kind), budget.costs, round_to)
        ]
        everything = sum(
            budget.costs.of(shapes[block], kind, _count(shapes[block], kind)) for block in blocks for kind in KINDS
            if budget.amount is not None or kind in pool_kinds
        )  # fmt: skip
        for group in _taken(groups, share, everything, exceed=budget.amount is not None, name=name):
            removed.update((group.block, group.kind, unit) for unit in group.units)
    return [
        Kept(
            tuple(unit for unit in range(shape.heads) if (block, "heads", unit) not in removed),
            tuple(unit for unit in range(shape.channels) if (block, "channels", unit) not in removed),
        )
        for block, shape in enumerate(shapes)
    ]


def keep_counts(scores: BlockScores, counts: Mapping[str, int], block: int) -> Kept:
    """The most important units of a block, as many as ``counts`` says ({"heads": 8, "channels": 768}).

    Raises:
        RecipeError: a count that the block doesn't have.
    """
    kept: dict[str, tuple[int, ...]] = {}
    for kind in KINDS:
        values = scores.of(kind)
        count = counts.get(kind, len(values))
        if not 1 <= count <= len(values):
            raise RecipeError(f"per_block: block {block} has {len(values)} {kind}, so {count} of them can't be kept")
        order = torch.argsort(values, descending=True, stable=True)
        kept[kind] = tuple(sorted(order[:count].tolist()))
    return Kept(kept["heads"], kept["channels"])


def _pools(
    count: int, budget: Budget, allocation: Allocation, kinds: tuple[Kind, ...]
) -> Iterable[tuple[tuple[Kind, ...], list[int], float, str]]:
    """(kinds, blocks, share to remove, name for errors) of everything that competes."""
    groups = [list(range(count))] if allocation == "global" else [[block] for block in range(count)]
    for blocks in groups:
        where = "all blocks" if allocation == "global" else f"block {blocks[0]}"
        if budget.amount is not None:
            yield kinds, blocks, budget.amount, f"amount = {budget.amount:g} of {where}"
            continue
        for kind in KINDS:
            share = budget.heads if kind == "heads" else budget.channels
            if share > 0:
                yield (kind,), blocks, share, f"{kind} = {share:g} of {where}"


def _count(shape: BlockShape, kind: Kind) -> int:
    return shape.heads if kind == "heads" else shape.channels


def _groups(
    block: int, kind: Kind, shape: BlockShape, scores: torch.Tensor, costs: Costs, round_to: int
) -> list[_Group]:
    """Groups in the order in which they would go; what must stay is in none of them."""
    total = _count(shape, kind)
    step = 1 if kind == "heads" else round_to
    order = torch.argsort(scores, stable=True).tolist()
    # the ends of the groups, so that what is left is a multiple of ``step`` after each of them
    left = [count for count in range(total - 1, 0, -1) if count % step == 0]
    if not left:
        return []
    whole = costs.of(shape, kind, total)
    mean_cost = (whole - costs.of(shape, kind, left[-1])) / (total - left[-1])
    groups = []
    before = total
    for position, after in enumerate(left):
        units = order[total - before : total - after]
        cost = costs.of(shape, kind, before) - costs.of(shape, kind, after)
        # by the mean cost of a unit: the steps of a measured table are too rough to order by
        worth = float(scores[units].sum()) / max(mean_cost * len(units), 1e-30)
        groups.append(_Group(block, kind, tuple(units), cost, (worth, block, position)))
        before = after
    return groups


def _taken(groups: Sequence[_Group], share: float, everything: float, *, exceed: bool, name: str) -> list[_Group]:
    wanted = share * everything
    tolerance = 1e-9 * everything
    taken: list[_Group] = []
    removed = 0.0
    for group in sorted(groups, key=lambda group: group.rank):
        enough = removed >= wanted - tolerance if exceed else removed + group.cost / 2 > wanted + tolerance
        if enough:
            return taken
        taken.append(group)
        removed += group.cost
    short = wanted - removed
    # the last group of each block stays; a share that wants less than half a group more is met as closely as possible
    smallest = 0.0 if exceed or not groups else min(group.cost for group in groups) / 2
    if short > smallest + tolerance:
        raise RecipeError(
            f"{name}: at most {removed / everything:.3g} can be removed, since each block keeps a head and a group of "
            "channels. Ask for less, or remove whole blocks with layers = [...]"
        )
    return taken
