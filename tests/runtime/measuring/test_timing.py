from __future__ import annotations

import pytest

from edgeformer_runtime.errors import InputError
from edgeformer_runtime.measuring.timing import Amount, check_amount, shares, thinned, timed

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies
modest = hypothesis.settings(max_examples=100, deadline=None, database=None)


class Clock:
    def __init__(self, latency_s):
        self.now, self.latency_s = 0.0, latency_s

    def __call__(self):
        return self.now

    def run(self):
        self.now += self.latency_s


def test_calls_end_by_runs_or_by_time():
    for amount, runs in (
        (Amount(most_runs=3), 3),
        (Amount(most_s=0.095), 10),
        (Amount(most_runs=5, most_s=0.025), 3),
    ):
        clock = Clock(0.01)
        found = timed(clock.run, amount, clock)
        assert len(found.latencies_ms) == runs
        assert found.latencies_ms[0] == pytest.approx(10)
        assert found.duration_s == pytest.approx(0.01 * runs)


@pytest.mark.parametrize(
    "wrong", [{"runs": 0}, {"runs": 1.5}, {"runs": True}, {"duration_s": 0}, {"duration_s": 1e999}]
)
def test_wrong_amounts(wrong):
    with pytest.raises(InputError):
        check_amount(**{"runs": None, "duration_s": None, **wrong})


def test_an_amount_by_least_runs_and_least_time():
    amount = Amount(least_runs=20, least_s=4.0, give_up_s=60.0)
    for latency_s, runs in ((0.01, 400), (1.0, 20), (25.0, 3), (100.0, 3)):
        clock = Clock(latency_s)
        assert len(timed(clock.run, amount, clock).latencies_ms) == pytest.approx(runs, abs=1)


@modest
@hypothesis.given(st.integers(1, 5000), st.integers(1, 9), st.one_of(st.none(), st.floats(0.1, 1e4)))
def test_shares_add_up(runs, repeats, duration_s):
    found = shares(runs, duration_s, repeats)
    assert sum(amount.most_runs for amount in found) == runs
    assert len(found) == min(runs, repeats)
    assert max(amount.most_runs for amount in found) - min(amount.most_runs for amount in found) <= 1
    if duration_s is not None:
        assert sum(amount.most_s for amount in found) == pytest.approx(duration_s)


@modest
@hypothesis.given(st.integers(1, 5000), st.integers(1, 700))
def test_thinning_keeps_every_kth_of_all(count, most):
    values = [float(index) for index in range(count)]
    kept, step = thinned(values, most)
    assert len(kept) <= most
    assert list(kept) == values[::step]
    assert (step == 1) == (count <= most)


def test_a_least_number_of_runs_goes_before_the_most_seconds():
    clock = Clock(1.0)
    assert len(timed(clock.run, Amount(least_runs=3, most_runs=50, most_s=1.5), clock).latencies_ms) == 3
    assert len(timed(clock.run, Amount(least_runs=3, most_runs=5, most_s=99.0), clock).latencies_ms) == 5
