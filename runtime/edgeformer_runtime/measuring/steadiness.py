"""Is it steady? The warm-up before a measurement, and how far its repeats agree."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

MIN_WARMUP_RUNS = 10
MAX_WARMUP_RUNS = 1_000  # once the least time has passed
MAX_WARMUP_S = 30.0
STEADY_CHANGE = 0.02  # of the rolling median, between one window and the next
WINDOW_RUNS, MAX_WINDOW_RUNS = 5, 500
MAX_SPREAD = 0.05  # of the repeats' medians: beyond it the machine wasn't quiet

# Student's t, 97.5 % quantile, for 1, 2, … 30 degrees of freedom; 1.96 is the normal distribution's
_T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_NORMAL_975 = 1.960

Clock = Callable[[], float]


@dataclass(frozen=True)
class Warmup:
    """How the warm-up went. ``settled`` is False when it was cut off before the median stood still."""

    runs: int
    settled: bool


def warm_up(
    run: Callable[[], object],
    clock: Clock = time.perf_counter,
    min_s: float = 0.0,
    max_s: float = MAX_WARMUP_S,
) -> Warmup:
    """Call ``run`` at least 10 times and for ``min_s`` seconds, then until it is steady.

    Steady: the median of the last tenth of the runs (5 at least) moves less than 2 % from that of the tenth before.
    It gives up after ``max_s`` seconds, or after 1,000 runs once ``min_s`` has passed; never before 10 runs.
    """
    latencies: List[float] = []
    begin = clock()
    while True:
        start = clock()
        run()
        end = clock()
        latencies.append(end - start)
        if len(latencies) < MIN_WARMUP_RUNS or end - begin < min_s:
            continue
        if _is_steady(latencies):
            return Warmup(len(latencies), True)
        if end - begin > max_s or len(latencies) >= MAX_WARMUP_RUNS:
            return Warmup(len(latencies), False)


def _is_steady(latencies: List[float]) -> bool:
    window = min(max(WINDOW_RUNS, len(latencies) // 10), MAX_WINDOW_RUNS)
    now = statistics.median(latencies[-window:])
    before = statistics.median(latencies[-2 * window : -window])
    return abs(now - before) <= STEADY_CHANGE * before


def standard_error(values: Sequence[float]) -> Optional[float]:
    """Of the mean of independent repeats; None below two."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def t_half_width(repeats: Sequence[float]) -> Optional[float]:
    """t·s/√n of n repeats, for 95 %; None below two."""
    error = standard_error(repeats)
    if error is None:
        return None
    freedom = len(repeats) - 1
    return error * (_T_975[freedom - 1] if freedom <= len(_T_975) else _NORMAL_975)


def t_interval(centre: float, repeats: Sequence[float]) -> Optional[Tuple[float, float]]:
    """``centre`` ± ``t_half_width``, never below zero; None below two repeats."""
    half = t_half_width(repeats)
    return None if half is None else (max(0.0, centre - half), centre + half)


def spread(repeats: Sequence[float]) -> Optional[float]:
    """(largest − smallest) / median of repeats, as a share; None below two, or where the median is 0."""
    if len(repeats) < 2:
        return None
    middle = statistics.median(repeats)
    return (max(repeats) - min(repeats)) / middle if middle > 0 else None
