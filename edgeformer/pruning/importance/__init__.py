"""How much each head and channel matters; one criterion a file, all listed in ``IMPORTANCES``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...data.encoded import EncodedSamples
from ...families import Block
from ...model.base import Model
from ..units import BlockScores
from .magnitude import magnitude
from .taylor import taylor
from .wanda import wanda

Scorer = Callable[[Model, Sequence[Block], EncodedSamples | None, int], list[BlockScores]]


@dataclass(frozen=True)
class Importance:
    """A criterion.

    Args:
        score: (model, blocks, calibration rows, seed) to the scores of each block.
        needs_rows: whether calibration rows must be given.
        comparable: whether a score means the same in every block. Else scores count as shares of their block's sum.
    """

    score: Scorer
    needs_rows: bool
    comparable: bool


IMPORTANCES: dict[str, Importance] = {
    "magnitude": Importance(magnitude, needs_rows=False, comparable=False),
    "taylor": Importance(taylor, needs_rows=True, comparable=True),
    "wanda": Importance(wanda, needs_rows=True, comparable=False),
}


def shares(scores: Sequence[BlockScores]) -> list[BlockScores]:
    """Scores divided by their sum over the block, heads and channels each; a block of zeros stays as it is."""
    return [
        BlockScores(
            heads=item.heads / item.heads.sum().clamp(min=1e-300),
            channels=item.channels / item.channels.sum().clamp(min=1e-300),
        )
        for item in scores
    ]


__all__ = ["IMPORTANCES", "Importance", "Scorer", "shares"]
