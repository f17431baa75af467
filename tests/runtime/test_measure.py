from __future__ import annotations

import numpy as np
import pytest

from edgeformer_runtime import measure
from edgeformer_runtime.errors import InputError
from edgeformer_runtime.manifest import TensorSpec


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
    assert measure.warm_up(clock.run, clock) == measure.Warmup(10, True)


def test_warm_up_waits_until_the_median_stands_still():
    clock = Clock(forever(*(1.0 - 0.05 * step for step in range(15)), then=0.3))
    result = measure.warm_up(clock.run, clock)
    assert result.settled
    assert result.runs > 15


def test_warm_up_gives_up_and_says_so():
    clock = Clock(2.0 * 1.1**step for step in range(1000))
    assert measure.warm_up(clock.run, clock) == measure.Warmup(10, False)
    clock = Clock(1e-6 * 1.01**step for step in range(2000))
    assert measure.warm_up(clock.run, clock) == measure.Warmup(measure.MAX_WARMUP_RUNS, False)


def test_timed_loop_ends_by_runs_by_duration_or_by_default():
    for amount, runs in (
        ({"runs": 3}, 3),
        ({"duration_s": 0.095}, 10),
        ({}, 100),
        ({"runs": 5, "duration_s": 0.025}, 3),
    ):
        clock = Clock(forever(then=0.01))
        latencies_ms, duration_s = measure.timed_loop(clock.run, clock=clock, **amount)
        assert len(latencies_ms) == runs
        assert latencies_ms[0] == pytest.approx(10)
        assert duration_s == pytest.approx(0.01 * runs)
    with pytest.raises(InputError):
        measure.timed_loop(lambda: None, runs=0)


def test_synthetic_feeds_are_valid_rows():
    inputs = (
        TensorSpec("input_ids", "int64", ("batch", "sequence"), 0),
        TensorSpec("other_ids", "int64", ("batch", "sequence"), 1),
        TensorSpec("attention_mask", "int64", ("batch", "sequence")),
        TensorSpec("token_type_ids", "int64", ("batch", "sequence")),
        TensorSpec("pixels", "float32", ("batch", 3, 2)),
    )
    feeds = measure.synthetic_feeds(inputs, 5)
    assert {name: (array.shape, array.flat[0]) for name, array in feeds.items() if name != "pixels"} == {
        "input_ids": ((1, 5), 1),
        "other_ids": ((1, 5), 0),
        "attention_mask": ((1, 5), 1),
        "token_type_ids": ((1, 5), 0),
    }
    assert feeds["pixels"].shape == (1, 3, 2)
    assert feeds["pixels"].dtype == np.float32
    np.testing.assert_array_equal(feeds["pixels"], measure.synthetic_feeds(inputs, 5)["pixels"])
