from __future__ import annotations

import pytest

from edgeformer_runtime.errors import EngineError
from edgeformer_runtime.measuring.turns import in_turns


class Machine:
    """A clock, and calls that take known times on it."""

    def __init__(self):
        self.now_s, self.order = 0.0, []

    def clock(self):
        return self.now_s

    def call(self, name, *latencies_ms):
        left = list(latencies_ms)

        def run():
            self.order.append(name)
            latency_ms = left.pop(0) if len(left) > 1 else left[0]
            if latency_ms is None:
                raise EngineError(f"{name} is worn out")
            self.now_s += latency_ms / 1e3

        return run


def test_everybody_runs_in_every_round_and_cold_runs_are_not_timed():
    machine = Machine()
    calls = {"a": machine.call("a", 9, 1, 2, 9, 3, 4), "b": machine.call("b", 5)}
    found = in_turns(calls, 2, runs={"a": 2, "b": 1}, unwatched={"a": 1, "b": 0}, clock=machine.clock)
    assert machine.order == ["a", "a", "a", "b"] * 2
    assert [len(turn) for turn in found.latencies_ms["a"]] == [2, 2]
    assert found.all_ms("a") == pytest.approx((1, 2, 3, 4))
    assert found.all_ms("b") == pytest.approx((5, 5))
    assert not found.failures


def test_who_fails_with_an_error_that_is_named_drops_out_and_the_others_go_on():
    machine = Machine()
    calls = {0: machine.call(0, 1, None), 1: machine.call(1, 2)}
    found = in_turns(calls, 4, drop=(EngineError,), clock=machine.clock)
    assert machine.order == [0, 1, 0, 1, 1, 1]
    assert list(found.latencies_ms) == [1]
    assert str(found.failures[0]) == "0 is worn out"


def test_any_other_error_ends_the_race():
    machine = Machine()
    with pytest.raises(EngineError, match="worn out"):
        in_turns({"a": machine.call("a", None)}, 2, clock=machine.clock)
