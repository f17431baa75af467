"""Which teacher block each student block should resemble, and the hidden states that blocks return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ..errors import ModelError
from ..families import architecture_for
from ..model.base import Model

Pairs = tuple[tuple[int, int], ...]


def map_blocks(student: Model, teacher: Model) -> tuple[Pairs, str]:
    """Pairs (student block, teacher block), in order, and how they were found.

    With as many blocks each has its own. Where blocks were removed, one that shares untouched parameters (its
    normalization) with exactly one teacher block maps to that; where that doesn't say it for all, blocks are spread
    evenly, the last onto the last (Jiao et al. 2020, section 4.1, "uniform strategy").

    Raises:
        ModelError: the family has no description of its blocks, or the student has more of them.
    """
    own, other = _blocks(student), _blocks(teacher)
    if len(own) > len(other):
        raise ModelError(f"the model has {len(own)} blocks, its teacher only {len(other)}: there is nothing to map")
    if len(own) == len(other):
        return tuple((index, index) for index in range(len(own))), "one to one"
    found = _by_shared_parameters(own, other)
    if found is not None:
        return tuple(enumerate(found)), "by parameters that both share"
    spread = [round((index + 1) * len(other) / len(own)) - 1 for index in range(len(own))]
    return tuple(enumerate(spread)), "spread evenly"


@contextmanager
def block_outputs(model: Model, indices: Sequence[int]) -> Iterator[dict[int, torch.Tensor]]:
    """While open, each run of the model leaves the hidden states [B, S, H] of the blocks at ``indices`` here."""
    kept: dict[int, torch.Tensor] = {}

    def keep(index: int, result: Any) -> None:
        kept[index] = result[0] if isinstance(result, tuple) else result

    wanted = set(indices)
    blocks = _blocks(model) if wanted else []
    handles = [
        block.register_forward_hook(lambda _, __, result, index=index: keep(index, result))
        for index, block in enumerate(blocks)
        if index in wanted
    ]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _blocks(model: Model) -> list[torch.nn.Module]:
    return [block for _, block in architecture_for(model.architecture).block_modules(model.module)]


def _by_shared_parameters(
    student: Sequence[torch.nn.Module], teacher: Sequence[torch.nn.Module]
) -> tuple[int, ...] | None:
    """The teacher block of each student block; None unless each has one clear answer and the order is kept."""
    chosen: list[int] = []
    for block in student:
        own = dict(block.named_parameters())
        shared = [_equal_values(own, dict(other.named_parameters())) for other in teacher]
        most = max(shared)
        if most == 0 or shared.count(most) > 1:
            return None
        chosen.append(shared.index(most))
    return tuple(chosen) if chosen == sorted(set(chosen)) else None


def _equal_values(own: dict[str, torch.nn.Parameter], other: dict[str, torch.nn.Parameter]) -> int:
    """How many values lie in parameters that are equal in both blocks."""
    return sum(p.numel() for name, p in own.items() if name in other and torch.equal(p, other[name]))
