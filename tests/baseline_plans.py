"""Plans that allocation must beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgeformer.allocation.knapsack import Option, Plan, Unit
from edgeformer.errors import InputError


def bits_only(units: Sequence[Unit], max_bytes: int) -> Plan:
    """A baseline that knows sizes alone: from the largest formats, the largest layers shrink first, step by step."""
    order = sorted(range(len(units)), key=lambda index: -max(option.size_bytes for option in units[index].options))
    return _shrunk(units, max_bytes, order, lambda smaller: smaller[0])


def random_plan(units: Sequence[Unit], seed: int, max_bytes: int | None = None) -> Plan:
    """A baseline that knows nothing: any option a unit, then units in random order shrink at random until it fits."""
    rng = np.random.default_rng(seed)
    if max_bytes is None:
        return Plan(tuple((unit.name, unit.options[rng.integers(len(unit.options))]) for unit in units))
    order = [int(index) for index in rng.permutation(len(units))]
    return _shrunk(units, max_bytes, order, lambda smaller: smaller[int(rng.integers(len(smaller)))])


def _shrunk(
    units: Sequence[Unit], max_bytes: int, order: Sequence[int], choose: Callable[[list[Option]], Option]
) -> Plan:
    """Every unit at its largest; then, unit by unit in rounds, a smaller option until the budget is met."""
    chosen = [max(unit.options, key=lambda option: option.size_bytes) for unit in units]
    total = sum(option.size_bytes for option in chosen)
    while total > max_bytes:
        before = total
        for index in order:
            now = chosen[index].size_bytes
            smaller = sorted((o for o in units[index].options if o.size_bytes < now), key=lambda o: -o.size_bytes)
            if total <= max_bytes or not smaller:
                continue
            chosen[index] = choose(smaller)
            total += chosen[index].size_bytes - now
        if total == before:
            raise InputError(f"no plan has {max_bytes} bytes or fewer: the smallest possible is {total} bytes")
    return Plan(tuple((unit.name, option) for unit, option in zip(units, chosen, strict=True)))
