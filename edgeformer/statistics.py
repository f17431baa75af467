"""Intervals and paired tests: what a number of samples allows to claim."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z_95 = 1.959963984540054  # standard normal quantile of 97.5 %


def wilson_interval(successes: float, count: int, z: float = Z_95) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, eq. for the score interval); (0, 1) without samples."""
    if count == 0:
        return 0.0, 1.0
    share = successes / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return (centre - spread) / scale, (centre + spread) / scale


def paired_drop_interval(before: Sequence[float], after: Sequence[float], z: float = Z_95) -> tuple[float, float]:
    """95 % interval of mean(before - after) over the same samples, by the normal approximation."""
    differences = [b - a for b, a in zip(before, after, strict=True)]
    count = len(differences)
    if count < 2:
        return -1.0, 1.0
    mean = sum(differences) / count
    variance = sum((d - mean) ** 2 for d in differences) / (count - 1)
    spread = z * math.sqrt(variance / count)
    return mean - spread, mean + spread
