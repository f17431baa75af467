"""Correlations of two lists of numbers; 0 where one of them doesn't vary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pearson(first: Sequence[float] | NDArray[np.float64], second: Sequence[float] | NDArray[np.float64]) -> float:
    """Pearson's r."""
    a, b = np.asarray(first, float), np.asarray(second, float)
    return 0.0 if a.std() == 0 or b.std() == 0 else float(np.corrcoef(a, b)[0, 1])


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Rank correlation, ties by average rank."""
    from scipy.stats import rankdata

    return pearson(rankdata(first), rankdata(second))
