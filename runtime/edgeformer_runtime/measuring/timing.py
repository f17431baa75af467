"""Timing calls: one latency a call, repeats of equal amounts."""

from __future__ import annotations

import math
import time
from array import array
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

from ..errors import InputError

MIN_RUNS_FOR_P99 = 1_000
MAX_KEPT = 20_000  # latencies in a report: more are thinned out evenly

Clock = Callable[[], float]


@dataclass(frozen=True)
class Amount:
    """When one repeat ends: at ``most_runs``, or at ``most_s`` and ``least_runs``; with neither, at both least ones.

    ``give_up_s`` ends a repeat of a slow model before ``least_runs``, but never before 3 runs.
    """

    least_runs: int = 1
    least_s: float = 0.0
    give_up_s: float = math.inf
    most_runs: Optional[int] = None
    most_s: Optional[float] = None

    def reached(self, runs: int, elapsed_s: float) -> bool:
        """Whether ``runs`` within ``elapsed_s`` are enough."""
        if self.most_runs is not None or self.most_s is not None:
            return (self.most_runs is not None and runs >= self.most_runs) or (
                self.most_s is not None and elapsed_s >= self.most_s and runs >= self.least_runs
            )
        return (runs >= self.least_runs and elapsed_s >= self.least_s) or (runs >= 3 and elapsed_s >= self.give_up_s)


@dataclass(frozen=True)
class Timed:
    """A loop of calls: latencies in ms in order, and when the loop began and ended on the clock, in s."""

    latencies_ms: Sequence[float]
    begin_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Of the whole loop, with what lies between the calls."""
        return self.end_s - self.begin_s


def timed(run: Callable[[], object], amount: Amount, clock: Clock = time.perf_counter) -> Timed:
    """Call ``run`` until ``amount`` is reached, at least once."""
    latencies_ms = array("d")
    begin = clock()
    while True:
        start = clock()
        run()
        end = clock()
        latencies_ms.append((end - start) * 1e3)
        if amount.reached(len(latencies_ms), end - begin):
            return Timed(latencies_ms, begin, end)


def check_amount(runs: Optional[int], duration_s: Optional[float]) -> None:
    """Raise InputError unless ``runs`` and ``duration_s`` are positive where given."""
    if runs is not None and (isinstance(runs, bool) or not isinstance(runs, int) or runs < 1):
        raise InputError(f"runs {runs!r}: expected an integer of at least 1")
    if duration_s is not None and not 0 < duration_s < float("inf"):
        raise InputError(f"duration {duration_s} s: expected a positive number of seconds")


def shares(runs: Optional[int], duration_s: Optional[float], repeats: int) -> List[Amount]:
    """``runs`` and ``duration_s`` divided among ``repeats``; fewer repeats where there are fewer runs."""
    count = repeats if runs is None else min(repeats, runs)
    seconds = None if duration_s is None else duration_s / count
    if runs is None:
        return [Amount(most_s=seconds)] * count
    more = runs % count  # the first ones take one run more
    return [Amount(most_runs=runs // count + (index < more), most_s=seconds) for index in range(count)]


def thinned(latencies_ms: Sequence[float], most: int = MAX_KEPT) -> Tuple[Tuple[float, ...], int]:
    """At most ``most`` latencies, every k-th of them, rounded to a nanosecond; and k."""
    step = max(1, math.ceil(len(latencies_ms) / most))
    return tuple(round(value, 6) for value in latencies_ms[::step]), step
