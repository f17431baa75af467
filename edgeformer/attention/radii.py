"""Radii found from calibration rows: what each one keeps of a block, and the smallest that keeps enough.

``mass``     the share of the attention weight of the block's worst head
``output``   1 - the relative squared error of the block's attention beside the residual stream
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ..data.encoded import EncodedSamples
from ..families import Block
from ..model.base import Model
from .mass import attention_mass
from .window_error import window_errors

Measure = Literal["mass", "output"]
SMALLEST_RADIUS = 16


def tried_radii(samples: EncodedSamples) -> list[int]:
    """16, 32, 64 … below the longest row, whose window would be the whole of it."""
    longest = longest_of(samples)
    tried = [SMALLEST_RADIUS]
    while 2 * tried[-1] < longest - 1:
        tried.append(2 * tried[-1])
    return tried


def longest_of(samples: EncodedSamples) -> int:
    """Tokens of the longest row."""
    return max(int(row["input_ids"].shape[1]) for row in samples.feeds)


def profile(
    model: Model,
    samples: EncodedSamples,
    blocks: Sequence[Block],
    measure: Measure,
    global_tokens: Sequence[int],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Plain data: {"measure", "radii", "kept", "mean_head", "rows", "longest"}.

    ``kept`` has by block's number one value a radius, ``mean_head`` (None but for mass) the mean over heads beside it.
    """
    tried = tried_radii(samples)
    facts = {"measure": measure, "radii": tried, "rows": len(samples.feeds), "longest": longest_of(samples)}
    if measure == "output":
        errors = window_errors(model, samples, blocks, tried, global_tokens, progress)
        kept = {str(block.index): (1 - errors[block.index]).tolist() for block in blocks}
        return {**facts, "kept": kept, "mean_head": None}
    shares = attention_mass(model, samples, [block.attention for block in blocks], tried, global_tokens, progress)
    return {
        **facts,
        "kept": {str(block.index): shares[block.attention].amin(0).tolist() for block in blocks},
        "mean_head": {str(block.index): shares[block.attention].mean(0).tolist() for block in blocks},
    }


def smallest(found: Mapping[str, Any], block: Block, wanted: float) -> int | None:
    """The smallest radius that keeps ``wanted`` of a block; None where only the whole input does."""
    kept = found["kept"][str(block.index)]
    for radius, share in zip(found["radii"], kept, strict=True):
        if radius < found["longest"] - 1 and share >= wanted:
            return int(radius)
    return None
