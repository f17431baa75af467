from __future__ import annotations

import statistics

import pytest

from edgeformer_runtime.measuring import steadiness
from edgeformer_runtime.measuring.steadiness import Warmup, spread, standard_error, t_interval, warm_up

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies


class Clock:
    """A clock that a function moves on by the latencies given."""

    def __init__(self, latencies_s):
        self.now = 0.0
        self.latencies = iter(latencies_s)

    def __call__(self):
        return self.now

    def run(self):
        self.now += next(self.latencies)


def forever(*first, then):
    yield from first
    while True:
        yield then


def test_warm_up_takes_ten_runs_at_least():
    clock = Clock(forever(then=0.01))
    assert warm_up(clock.run, clock) == Warmup(10, True)


def test_warm_up_takes_the_least_time_asked_for():
    clock = Clock(forever(then=0.01))
    assert warm_up(clock.run, clock, min_s=4.995) == Warmup(500, True)
    clock = Clock(forever(then=1e-3))
    assert warm_up(clock.run, clock, min_s=4.9995) == Warmup(5000, True)  # the limit of runs counts from then on


def test_warm_up_waits_until_the_median_stands_still():
    clock = Clock(forever(*(1.0 - 0.05 * step for step in range(15)), then=0.3))
    result = warm_up(clock.run, clock)
    assert result.settled
    assert result.runs > 15


def test_warm_up_gives_up_and_says_so():
    clock = Clock(2.0 * 1.1**step for step in range(1000))
    assert warm_up(clock.run, clock) == Warmup(10, False)
    clock = Clock(1e-6 * 1.01**step for step in range(2000))
    assert warm_up(clock.run, clock) == Warmup(steadiness.MAX_WARMUP_RUNS, False)


def test_intervals_of_student():
    # five values with s = 1: half width 2.776/sqrt(5)
    values = [10 + value for value in (-1.2649110640673518, 0.6324555320336759, 0.6324555320336759, 0.0, 0.0)]
    s = statistics.stdev(values)
    low, high = t_interval(10.0, values)
    assert high - 10 == pytest.approx(2.776 * s / 5**0.5)
    assert 10 - low == pytest.approx(high - 10)
    assert t_interval(1.0, [1.0]) is None
    assert t_interval(1.0, [0.1, 9.0])[0] == 0.0  # a latency is never negative
    assert t_interval(5.0, [5.0] * 40) == (5.0, 5.0)
    assert standard_error([3.0]) is None


def test_the_interval_holds_the_mean_19_times_in_20():
    import numpy as np

    rows = np.random.default_rng(7).normal(100, 3, (4000, 5))
    held = sum(low <= 100 <= high for low, high in (t_interval(float(row.mean()), list(row)) for row in rows))
    assert 0.94 < held / 4000 < 0.96


@hypothesis.settings(max_examples=100, deadline=None, database=None)
@hypothesis.given(st.lists(st.floats(0.1, 1e4), min_size=2, max_size=9), st.floats(0.1, 10))
def test_the_spread_does_not_depend_on_the_unit(values, scale):
    assert spread([scale * value for value in values]) == pytest.approx(spread(values), abs=1e-9)
    assert spread(values) >= 0
    assert spread(values[:1]) is None
    assert spread([0.0, 0.0]) is None
