from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.power import NotYetError
from edgeformer_runtime.power.counters import Counter, CounterMeter


class World:
    """A clock and one counter of a given range, driven by hand."""

    def __init__(self, range_uj=262143328850, start_uj=0):
        self.now = 0.0
        self.range_uj = range_uj
        self.total_uj = start_uj

    def read(self):
        return float(self.total_uj % self.range_uj if self.range_uj else self.total_uj)

    def clock(self):
        return self.now

    def counter(self):
        return Counter("package-0", self.read, self.range_uj, self.clock)

    def meter(self):
        return CounterMeter("rapl", "cpu package", [self.counter()], clock=self.clock)

    def step(self, seconds, watts):
        self.now += seconds
        self.total_uj += round(seconds * watts * 1e6)


STEPS = st.lists(st.tuples(st.floats(0.02, 60.0), st.floats(0.01, 400.0)), min_size=1, max_size=20)


@settings(max_examples=100, deadline=None)
@given(start=st.integers(0, 262143328849), steps=STEPS)
def test_energy_and_power_survive_any_number_of_wraps(start, steps):
    world = World(start_uj=start)
    meter = world.meter()
    with pytest.raises(NotYetError):
        meter.read_watts()
    begin = world.total_uj
    for seconds, watts in steps:
        before = world.total_uj
        world.step(seconds, watts)
        if world.total_uj > before:
            assert meter.read_watts() == pytest.approx((world.total_uj - before) / 1e6 / seconds, rel=1e-6)
    assert meter.energy_j() == pytest.approx((world.total_uj - begin) / 1e6, rel=1e-9)


def test_a_counter_that_stands_still_is_no_0_watts():
    world = World(start_uj=5)
    meter = world.meter()
    with pytest.raises(NotYetError):
        meter.read_watts()
    world.step(1.0, 0.0)
    with pytest.raises(SensorError, match="stood still"):
        meter.read_watts()
    world.step(1.0, 10.0)
    assert meter.read_watts() == pytest.approx(10.0)


def test_reading_too_fast_asks_to_wait_and_loses_nothing():
    world = World()
    meter = world.meter()
    with pytest.raises(NotYetError):
        meter.read_watts()
    world.step(0.001, 10.0)
    with pytest.raises(NotYetError, match=r"once in 0\.01 s"):
        meter.read_watts()
    world.step(0.999, 10.0)
    assert meter.read_watts() == pytest.approx(10.0)


def test_a_pause_in_which_two_wraps_fit_is_a_loss_and_not_a_number():
    world = World()
    meter = world.meter()
    assert meter.energy_j() == 0.0
    world.step(600.0, 65.0)
    with pytest.raises(SensorError, match="may have wrapped more than once"):
        meter.energy_j()
    world.step(1.0, 65.0)
    with pytest.raises(SensorError, match="may have wrapped"):
        meter.energy_j()  # what was lost stays lost
    with pytest.raises(NotYetError):
        meter.read_watts()
    world.step(1.0, 65.0)
    assert meter.read_watts() == pytest.approx(65.0)  # power goes on with the next interval


def test_without_a_known_range_going_back_is_a_loss():
    world = World(range_uj=None, start_uj=10**9)
    meter = world.meter()
    with pytest.raises(NotYetError):
        meter.read_watts()
    world.now, world.total_uj = 1.0, 5
    with pytest.raises(SensorError, match="went back"):
        meter.read_watts()
    with pytest.raises(SensorError, match="went back"):
        meter.energy_j()


def test_a_clock_that_goes_back_and_a_power_beyond_reason_are_refused():
    world = World()
    meter = world.meter()
    with pytest.raises(NotYetError):
        meter.read_watts()
    world.step(-5.0, -10.0)
    with pytest.raises(SensorError, match="clock went back"):
        meter.read_watts()
    world.step(1.0, 50_000.0)
    with pytest.raises(SensorError, match="above 2000 W"):
        meter.read_watts()


def test_a_value_outside_of_its_range_is_refused():
    world = World(range_uj=1000)
    counter = Counter("package-0", lambda: 2000.0, 1000, world.clock)
    with pytest.raises(SensorError, match="outside of"):
        counter.update()
