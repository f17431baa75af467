from __future__ import annotations

import threading
import time

import pytest

from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.measuring import sampler
from edgeformer_runtime.measuring.monitor import Snapshot
from edgeformer_runtime.measuring.sampler import MAX_FAILURES, RealTime, Recorder
from edgeformer_runtime.power.base import NotYetError


class Meter:
    """Gives what it is told, one after the other; the last for ever."""

    family, status, scope, rail, model = "fake", "measured", "module", None, None
    resolution_w = accuracy_fraction = None
    min_interval_s = 0.2

    def __init__(self, *given, counts=False):
        self.given, self.counts, self.reads = list(given), counts, 0

    def _next(self):
        self.reads += 1
        value = self.given.pop(0) if len(self.given) > 1 else self.given[0]
        if isinstance(value, Exception):
            raise value
        return value

    def read_watts(self):
        return self._next()

    def energy_j(self):
        return self._next() if self.counts else None


class Clock:
    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


def watch():
    return Snapshot(40.0, 1500.0)


def ticks(recorder, clock, count):
    for _ in range(count):
        clock.now += recorder.due_in(clock.now)
        recorder.tick(clock)


def test_samples_lie_on_a_grid_and_missed_ones_are_left_out():
    clock, recorder = Clock(), Recorder(Meter(5.0), watch, interval_s=0.2)
    ticks(recorder, clock, 8)
    assert [at for at, _ in recorder.power] == pytest.approx([50 + 0.2 * step for step in range(len(recorder.power))])
    clock.now += 10.05
    held = len(recorder.power)
    recorder.tick(clock)
    recorder.tick(clock)
    assert len(recorder.power) == held + 1
    assert 0 < recorder.due_in(clock.now) <= 0.2
    assert recorder.snapshots[0] == (50.0, watch())


@pytest.mark.parametrize(
    "wrong", [SensorError("EAGAIN"), ZeroDivisionError("theirs"), float("nan"), -1.0, float("inf"), None]
)
def test_a_reading_that_fails_is_a_failure_and_no_number(wrong):
    clock, meter = Clock(), Meter(5.0, wrong, 6.0)
    recorder = Recorder(meter, watch, interval_s=0.2)
    ticks(recorder, clock, 3)
    assert [watts for _, watts in recorder.power] == [5.0, 6.0]
    assert len(recorder.failures) == 1
    assert recorder.given_up is None


def test_a_meter_that_keeps_failing_is_given_up():
    clock, meter = Clock(), Meter(SensorError("unplugged"))
    recorder = Recorder(meter, watch, interval_s=0.2)
    ticks(recorder, clock, 100)
    assert recorder.given_up == "unplugged"
    assert meter.reads == MAX_FAILURES
    assert recorder.due_in(clock.now) > 0.2  # only the watch is left


def test_a_counter_that_goes_back_is_a_failure():
    clock = Clock()
    recorder = Recorder(Meter(10.0, 11.0, 3.0, 12.0, counts=True), watch, interval_s=0.2, counts=True)
    ticks(recorder, clock, 4)
    assert [joules for _, joules in recorder.power] == [10.0, 11.0, 12.0]
    assert "went back from 11.0 to 3.0 J" in recorder.failures[0][1]


def test_the_first_look_at_a_counter_is_no_failure():
    clock, recorder = Clock(), Recorder(Meter(NotYetError("not yet"), 4.0), watch)
    ticks(recorder, clock, 2)
    assert (recorder.failures, [watts for _, watts in recorder.power]) == ([], [4.0])


def test_a_paused_recorder_takes_nothing():
    clock, recorder = Clock(), Recorder(Meter(5.0), watch)
    recorder.paused = True
    recorder.tick(clock)
    assert (recorder.power, recorder.snapshots) == ([], [])


def test_a_slow_meter_is_asked_less_often():
    clock = Clock()

    class Slow(Meter):
        def read_watts(self):
            clock.now += 0.5
            return 3.0

    assert Recorder.of(Slow(3.0), watch, clock).interval_s == pytest.approx(5.0)
    assert Recorder.of(Meter(3.0), watch, clock).interval_s == 0.2
    assert Recorder.of(Meter(3.0, counts=True), watch, clock).counts
    assert Recorder.of(Meter(ZeroDivisionError()), watch, clock).interval_s == 0.2
    assert Recorder.of(None, watch, clock).meter is None


def samplers():
    return [thread for thread in threading.enumerate() if thread.name == "edgeformer-sampler"]


def test_the_thread_samples_and_stops(monkeypatch):
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: -3600.0 * next(jumps))  # a wall clock that goes back must not matter
    real, recorder = RealTime(), Recorder(Meter(5.0), watch, interval_s=0.01)
    begin = real.now()
    with real.sampling(recorder):
        assert len(samplers()) == 1
        while len(recorder.power) < 5 and real.now() < begin + 60:
            real.sleep(0.01)
    assert samplers() == []
    assert len(recorder.power) >= 5
    held = len(recorder.power)
    at = [when for when, _ in recorder.power]
    assert at == sorted(at)
    assert begin <= at[0] <= at[-1] <= real.now()
    time.sleep(0.05)
    assert len(recorder.power) == held


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_thread_is_stopped_when_the_work_fails(error):
    def work():
        with RealTime().sampling(Recorder(Meter(5.0), watch, interval_s=0.01)):
            raise error

    with pytest.raises(error):
        work()
    assert samplers() == []


def test_a_meter_that_hangs_does_not_hold_the_report_back(monkeypatch):
    entered, release = threading.Event(), threading.Event()
    monkeypatch.setattr(sampler, "STOP_TIMEOUT_S", 0.05)

    class Hanging(Meter):
        def read_watts(self):
            entered.set()
            release.wait()
            return 1.0

    with RealTime().sampling(Recorder(Hanging(1.0), watch, interval_s=0.01)):
        assert entered.wait(60)
    assert len(samplers()) == 1  # still inside of the meter: leaving the block didn't wait for it
    release.set()
    samplers()[0].join(60)
