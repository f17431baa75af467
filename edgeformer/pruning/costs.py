"""What heads and channels cost: in parameters, in FLOPs, or in milliseconds measured on an engine.

A cost is additive: cost of a block = attention(heads) + feed_forward(channels). What pruning never touches (embeddings,
norms, the head) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .units import BlockShape, Kind


class Costs(Protocol):
    """What a block costs with ``count`` heads or channels; never less with more of them."""

    def of(self, shape: BlockShape, kind: Kind, count: int) -> float:
        """Cost of ``count`` units of ``kind`` in a block of ``shape`` (whose own counts don't matter here)."""


@dataclass(frozen=True)
class UnitCosts:
    """Each head and each channel counts one: the cost for targets by fraction."""

    def of(self, shape: BlockShape, kind: Kind, count: int) -> float:
        """``count``."""
        return float(count)


@dataclass(frozen=True)
class ParameterCosts:
    """Numbers of weights and biases: a head has 4·E·d + 3·d, a channel (ups + 1)·E + ups."""

    def of(self, shape: BlockShape, kind: Kind, count: int) -> float:
        """Parameters of ``count`` units."""
        if kind == "heads":
            return float(count * shape.head_dim * (4 * shape.hidden + 3 * shape.bias))
        return float(count * ((shape.ups + 1) * shape.hidden + shape.ups * shape.bias))


@dataclass(frozen=True)
class FlopCosts:
    """Floating-point operations for one row of n tokens, a multiply and an add counting two.

    A head: 8·n·E·d for its projections and 4·n²·d for QKᵀ and the weighted sum. A channel: 2·n·E·(ups + 1).
    """

    sequence_length: int

    def of(self, shape: BlockShape, kind: Kind, count: int) -> float:
        """FLOPs of ``count`` units."""
        n = self.sequence_length
        if kind == "heads":
            return float(count * shape.head_dim * (8 * n * shape.hidden + 4 * n * n))
        return float(count * 2 * n * shape.hidden * (shape.ups + 1))


@dataclass(frozen=True)
class LatencyCosts:
    """Milliseconds from tables of measured points {count: ms}; between two points a straight line.

    Measured times that fall as units are added are noise or a kernel's preference that can't be bought one unit at a
    time: the tables are made non-decreasing.
    """

    attention_ms: Mapping[int, float]
    feed_forward_ms: Mapping[int, float]

    def of(self, shape: BlockShape, kind: Kind, count: int) -> float:
        """Milliseconds of ``count`` units."""
        table = self.attention_ms if kind == "heads" else self.feed_forward_ms
        counts = sorted(table)
        times = np.maximum.accumulate([table[key] for key in counts])
        return float(np.interp(count, counts, times))
