from __future__ import annotations

import math

import pytest

from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.measuring.energy import Trace, counter_j, energy_of, repeats_of, trapezoid_j
from edgeformer_runtime.measuring.findings import Idle
from edgeformer_runtime.measuring.monitor import Snapshot
from edgeformer_runtime.measuring.sampler import Recorder
from edgeformer_runtime.measuring.timing import Timed

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies
modest = hypothesis.settings(max_examples=100, deadline=None, database=None)

watts = st.floats(0, 500)
times = st.lists(st.floats(0, 1000), min_size=2, max_size=40, unique=True).map(sorted)


class Meter:
    family, status, scope, rail, model = "fake", "measured", "module", "VDD_IN", None

    def __init__(self, resolution_w=None, accuracy_fraction=None):
        self.resolution_w, self.accuracy_fraction = resolution_w, accuracy_fraction
        self.min_interval_s = 0.1

    def sub_rails(self):
        return {"VDD_CPU": 1.0}


def recorder(power, counts=False, interval_s=0.1, failures=(), given_up=None):
    made = Recorder(None, lambda: Snapshot(None, None), interval_s, counts)
    made.power = list(power)
    made.failures = list(failures)
    made.given_up = given_up
    return made


def idle(mean_w, error=0.0):
    return Idle(5.0, mean_w, error, None, None, None)


# ---- integrals ----


@modest
@hypothesis.given(times, watts, st.floats(0, 1), st.floats(0, 1))
def test_constant_power_times_time(at, power, start, share):
    begin = at[0] + start * (at[-1] - at[0])
    end = begin + share * (at[-1] - begin)
    assert trapezoid_j([(time, power) for time in at], begin, end) == pytest.approx(power * (end - begin), abs=1e-6)


@modest
@hypothesis.given(times, st.floats(-5, 5), st.floats(0, 100))
def test_a_ramp_is_integrated_exactly(at, slope, offset):
    begin, end = at[0], at[-1]
    expected = offset * (end - begin) + slope * (end**2 - begin**2) / 2
    samples = [(time, offset + slope * time) for time in at]
    assert trapezoid_j(samples, begin, end) == pytest.approx(expected, rel=1e-9, abs=1e-5)


@modest
@hypothesis.given(times, st.data())
def test_parts_add_up_and_lie_between_the_extremes(at, data):
    samples = [(time, data.draw(watts)) for time in at]
    middle = data.draw(st.floats(at[0], at[-1]))
    whole = trapezoid_j(samples, at[0], at[-1])
    parts = trapezoid_j(samples, at[0], middle) + trapezoid_j(samples, middle, at[-1])
    assert parts == pytest.approx(whole, rel=1e-9, abs=1e-6)
    low, high = min(power for _, power in samples), max(power for _, power in samples)
    span = at[-1] - at[0]
    assert low * span - 1e-6 <= whole <= high * span + 1e-6


def test_a_sine_to_the_order_of_the_trapezoid():
    samples = [(0.01 * step, 5 + math.sin(0.01 * step)) for step in range(2001)]
    assert trapezoid_j(samples, 0, 20) == pytest.approx(100 + 1 - math.cos(20), abs=1e-3)


def test_before_the_first_and_after_the_last_sample_power_is_constant():
    assert trapezoid_j([(1.0, 2.0), (2.0, 4.0)], 0.0, 4.0) == pytest.approx(2 + 3 + 8)
    with pytest.raises(SensorError):
        trapezoid_j([], 0, 1)
    with pytest.raises(SensorError):
        counter_j([], 0, 1)


@modest
@hypothesis.given(times, st.floats(0.01, 100))
def test_a_counter_gives_its_difference(at, power):
    samples = [(time, 7 + power * time) for time in at]
    assert counter_j(samples, at[0], at[-1]) == pytest.approx(power * (at[-1] - at[0]), rel=1e-9, abs=1e-6)


# ---- what a trace refuses ----


def test_a_trace_refuses_what_samples_do_not_carry():
    steady = [(0.1 * step, 5.0) for step in range(101)]
    assert Trace(recorder(steady)).watts(0, 10) == pytest.approx(5)
    with pytest.raises(SensorError, match=r"3 readings in 0.3 s, expected at least 10"):
        Trace(recorder(steady)).joules(0.05, 0.34)
    with pytest.raises(SensorError, match=r"silent for 3.0 s"):
        Trace(recorder([sample for sample in steady if not 4 < sample[0] < 7])).joules(0, 10)
    with pytest.raises(SensorError, match="40 of 141 readings failed: gone"):
        Trace(recorder(steady, failures=[(0.2 * step, "gone") for step in range(40)])).joules(0, 10)
    with pytest.raises(SensorError, match="stopped answering during the run: unplugged"):
        Trace(recorder(steady[:60], given_up="unplugged")).joules(0, 10)
    few = Trace(recorder(steady, failures=[(1.0, "EAGAIN")]))
    assert few.joules(0, 10) == pytest.approx(50)


# ---- net, gross and what they are worth ----


def loops_of(count, each_s=4.0, runs=100):
    return [
        Timed([each_s * 1e3 / runs] * runs, 10 + index * each_s, 10 + (index + 1) * each_s) for index in range(count)
    ]


def test_gross_and_net_of_an_inference():
    trace = Trace(recorder([(0.1 * step, 6.0) for step in range(400)]))
    energy, reasons = energy_of(trace, Meter(0.01, 0.02), loops_of(5), idle(2.0), idle(2.02))
    assert energy.gross_mj == pytest.approx(6.0 * 40)  # 40 ms an inference
    assert energy.net_mj == pytest.approx((6.0 - 2.01) * 40)
    assert energy.idle_drift == pytest.approx(0.01)
    assert energy.method == "sampled watts"
    assert energy.rate_hz == pytest.approx(10, rel=0.01)
    parts = energy.components_mj
    assert parts["resolution"] == pytest.approx(0.01 / math.sqrt(12) * math.sqrt(2) * 40)
    assert parts["accuracy"] == pytest.approx(0.02 / math.sqrt(3) * (6 - 2.01) * 40)
    assert parts["idle"] == pytest.approx(0.01 * 40)
    total = math.sqrt(sum(value**2 for value in parts.values()))
    assert energy.net_uncertainty_mj == pytest.approx(2 * total)
    assert reasons == {}
    assert energy.sub_rails_w == {"VDD_CPU": 1.0}


def test_what_the_sensor_does_not_publish_is_unknown_and_said():
    trace = Trace(recorder([(0.1 * step, 6.0) for step in range(400)]))
    energy, reasons = energy_of(trace, Meter(), loops_of(5), idle(2.0), idle(2.0))
    assert energy.components_mj["resolution"] is None
    assert "resolution, accuracy: not published" in reasons["energy.components_mj"]
    assert energy.net_mj is not None
    assert energy.gross_uncertainty_mj is None  # of alike repeats nothing is known, and nothing isn't 0
    assert "publishes neither" in reasons["energy.gross_uncertainty_mj"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (idle(2.0), idle(2.2), r"moved by \+10.0 %"),
        (idle(2.0), idle(1.8), r"moved by -10.0 %"),
        (idle(None), idle(2.0), "idle power isn't known"),
        (idle(5.99, 0.1), idle(5.99, 0.1), r"not resolved: .* within its uncertainty"),
        (idle(6.5), idle(6.5), "not resolved: -20 mJ"),
    ],
)
def test_net_energy_that_is_not_given(before, after, told):
    trace = Trace(recorder([(0.1 * step, 6.0) for step in range(400)]))
    energy, reasons = energy_of(trace, Meter(0.01, 0.02), loops_of(5), before, after)
    assert energy.net_mj is None
    assert energy.gross_mj == pytest.approx(240)
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(reasons["energy.net_mj"])


@modest
@hypothesis.given(st.floats(0.5, 20), st.floats(0, 0.5), st.floats(0, 0.2), st.floats(0, 0.1))
def test_net_is_given_exactly_when_it_exceeds_twice_its_uncertainty(idle_w, more_w, resolution, accuracy):
    trace = Trace(recorder([(0.1 * step, idle_w + more_w) for step in range(400)]))
    energy, reasons = energy_of(trace, Meter(resolution, accuracy), loops_of(5), idle(idle_w), idle(idle_w))
    net = 40 * more_w
    if abs(net - energy.net_uncertainty_mj) > 1e-6:
        assert (energy.net_mj is not None) == (net >= energy.net_uncertainty_mj)
        assert ("energy.net_mj" in reasons) == (energy.net_mj is None)


def test_repeats_that_differ_widen_the_uncertainty():
    loops = loops_of(5)
    steps = [(0.1 * step, 6.0 + 0.5 * (int(0.1 * step - 10) // 4 % 2)) for step in range(400)]
    calm = energy_of(Trace(recorder([(t, 6.2) for t, _ in steps])), Meter(), loops, idle(2.0), idle(2.0))[0]
    restless = energy_of(Trace(recorder(steps)), Meter(), loops, idle(2.0), idle(2.0))[0]
    assert restless.net_uncertainty_mj > 5 * calm.net_uncertainty_mj + 1


def test_a_counter_is_used_by_its_difference():
    trace = Trace(recorder([(0.1 * step, 3 + 6.0 * 0.1 * step) for step in range(400)], counts=True))
    loops = loops_of(5)
    energy, _ = energy_of(trace, Meter(), loops, idle(2.0), idle(2.0))
    assert energy.method == "counter"
    assert energy.gross_mj == pytest.approx(240)
    assert energy.components_mj["ends"] == pytest.approx(6 * 0.1 / 20 / math.sqrt(6) * 40)
    assert [item.energy_mj for item in repeats_of(loops, [40.0] * 5, trace)] == [pytest.approx(240)] * 5
