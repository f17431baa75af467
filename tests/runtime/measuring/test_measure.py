"""The whole protocol on a device of our own making: its clock, heat, power and load are what a test says."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import pytest

from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.errors import InputError, SensorError
from edgeformer_runtime.measuring.instruments import Instruments
from edgeformer_runtime.measuring.measure import QUICK, STANDARD, measure
from edgeformer_runtime.measuring.monitor import CpuSeconds, Snapshot
from edgeformer_runtime.measuring.thermal import Thermometer
from edgeformer_runtime.measuring.throttling import ThrottleState
from edgeformer_runtime.power.base import PowerReading
from edgeformer_runtime.variants.feeds import synthetic_feeds

IDLE_W, BUSY_W, LATENCY_S = 2.0, 6.0, 0.01


class Device:
    """Time passes where it sleeps or runs an inference, and the sampler gets its turns meanwhile."""

    def __init__(self):
        self.t, self.busy, self.recorder, self.stopped = 1e4, False, None, 0
        self.latency_s, self.sampling_costs_s = LATENCY_S, 0.0
        self.runs = 0
        self.clock = lambda: 1500.0
        self.temperature = lambda: 50.0
        self.active = lambda: frozenset()
        self.counts = dict
        self.others = 0.0  # cores
        self.busy_s = self.own_s = 0.0
        self.phases = []

    # the clock of the measurement

    def now(self):
        return self.t

    def sleep(self, seconds):
        self._pass(seconds, busy=False)

    @contextlib.contextmanager
    def sampling(self, recorder):
        self.recorder = recorder
        try:
            yield
        finally:
            self.recorder = None
            self.stopped += 1

    def run(self):
        self.runs += 1
        self._pass(self.latency_s() if callable(self.latency_s) else self.latency_s, busy=True)

    def _pass(self, seconds, busy):
        end, self.busy = self.t + seconds, busy
        begin, own_s = self.t, self.own_s
        recorder = self.recorder
        while recorder is not None and not recorder.paused and self.t + recorder.due_in(self.t) <= end:
            self.t += recorder.due_in(self.t)
            self.own_s = own_s + busy * (self.t - begin)
            recorder.tick(self.now)
            if busy:
                end += self.sampling_costs_s
        self.t = max(self.t, end)
        self.own_s = own_s + busy * (self.t - begin)
        self.busy_s += (self.t - begin) * (self.others + busy)

    # the monitor of the measurement

    no_temperature = None
    thermometer = Thermometer("cpu-thermal", ())

    @property
    def throttles(self):
        return self

    names = ("get_throttled",)

    def read(self):
        return ThrottleState(self.active(), self.counts())

    def snapshot(self):
        return Snapshot(self.temperature(), self.clock(), self.active())

    def clock_mhz(self):
        return self.clock()

    def governor(self):
        return "ondemand"

    def load_average(self):
        return 0.5

    def cpu_seconds(self):
        return CpuSeconds(self.t, self.busy_s, self.own_s, 0.0)


class Meter:
    family, status, scope, rail, model = "fake", "measured", "module", "VDD_IN", None
    resolution_w, accuracy_fraction, min_interval_s = 0.005, 0.01, 0.1

    def __init__(self, device, fails=lambda: False):
        self.device, self.fails = device, fails

    def read_watts(self):
        if self.fails():
            raise SensorError("EAGAIN: the rail is gated")
        return BUSY_W if self.device.busy else IDLE_W

    def energy_j(self):
        return None

    def sub_rails(self):
        return {}

    def close(self):
        pass


class Counter(Meter):
    def energy_j(self):
        if self.fails():
            raise SensorError("the counter is gone")
        return self.device.t * IDLE_W + self.device.own_s * (BUSY_W - IDLE_W)


@pytest.fixture
def device():
    return Device()


def instruments(device, meter=None):
    nothing = PowerReading("unavailable", "none", reason="no sensor")
    return Instruments(meter, device, device, nothing, (), 4)


def test_the_standard_protocol(device):
    told = []
    found = measure(device.run, instruments(device, Meter(device)), progress=told.append)
    assert found.invalid == ()
    assert found.notes == ()
    assert found.protocol == "standard"
    assert found.warmup_runs == 500  # 5 s
    assert [repeat.runs for repeat in found.repeats] == [400] * 5
    assert found.total_runs == len(found.latencies_ms) == 2000
    assert found.duration_s == pytest.approx(20)
    assert (found.p50_interval.low, found.p50_interval.high) == pytest.approx((10, 10), abs=0.01)
    assert "5 repeats" in found.p50_interval.method
    assert found.energy.gross_mj == pytest.approx(60, rel=0.01)
    assert found.energy.net_mj == pytest.approx(40, rel=0.01)
    assert abs(found.energy.net_mj - 40) < found.energy.net_uncertainty_mj
    assert found.energy.idle_w == pytest.approx(2)
    assert found.power == PowerReading("measured", "fake", found.energy.mean_w, "module", "VDD_IN")
    assert found.idle_before.duration_s == pytest.approx(5)
    assert (found.thermal.before_c, found.thermal.max_c, found.thermal.after_c) == (50, 50, 50)
    assert (found.clock.start_mhz, found.clock.lowest_mhz, found.clock.governor_before) == (1500, 1500, "ondemand")
    assert found.load.other_cores == pytest.approx(0, abs=0.01)
    assert (found.sampling.turns, found.sampling.overhead) == (10, pytest.approx(0, abs=1e-9))
    order = [word for text in told for word in ("idle", "warming", "sampler", "timing") if word in text]
    assert order == ["idle", "warming", "sampler", *["timing"] * 5, "idle"]
    assert set(found.reasons) == {"sustained"}


def test_energy_of_a_counter(device):
    found = measure(device.run, instruments(device, Counter(device)))
    assert found.energy.method == "counter"
    assert found.energy.gross_mj == pytest.approx(60, rel=1e-6)
    assert found.energy.net_mj == pytest.approx(40, rel=1e-6)


def test_quick_is_short_and_labelled(device):
    begin = device.t
    found = measure(device.run, instruments(device, Meter(device)), QUICK)
    assert device.t - begin < 5
    assert found.protocol == "quick"
    assert found.sampling.overhead is None
    assert "leaves it out" in found.reasons["sampling.overhead"]
    assert any("quick look" in note for note in found.notes)


@pytest.mark.parametrize(
    ("amount", "runs"),
    [
        ({"runs": 12}, [3, 3, 2, 2, 2]),
        ({"runs": 2}, [1, 1]),
        ({"runs": 1}, [1]),
        ({"duration_s": 1.0}, [20] * 5),
        ({"runs": 1000, "duration_s": 0.5}, [10] * 5),
    ],
)
def test_an_amount_of_ones_own(device, amount, runs):
    found = measure(device.run, instruments(device), QUICK.__class__(**{**vars(QUICK), "repeats": 5}), **amount)
    assert [repeat.runs for repeat in found.repeats] == [pytest.approx(count, abs=count // 10) for count in runs]
    assert any("less than the quick protocol takes" in note for note in found.notes)
    if len(runs) == 1:
        assert found.p50_interval is None
        assert "no spread" in found.reasons["p50_interval"]
        assert any("one repeat only" in note for note in found.notes)


def test_wrong_amounts_are_refused_before_anything_runs(device):
    for wrong in ({"runs": 0}, {"duration_s": -1.0}):
        with pytest.raises(InputError):
            measure(device.run, instruments(device), **wrong)
    assert device.runs == 0


def test_without_a_meter_there_are_reasons_and_little_waiting(device):
    begin = device.t
    found = measure(device.run, instruments(device))
    assert device.t - begin < 35
    assert found.power.reason == "no sensor"
    assert found.energy is None
    assert found.reasons["energy"] == "there is no power reading"
    assert found.invalid == ()


@pytest.mark.parametrize("kind", [Meter, Counter])
def test_a_meter_that_fails_in_the_loop_costs_the_power_only(device, kind):
    meter = kind(device, fails=lambda: device.runs > 1500)
    found = measure(device.run, instruments(device, meter))
    assert found.power.status == "unavailable"
    assert "stopped answering" in found.power.reason or "readings failed" in found.power.reason
    assert found.energy is None
    assert found.reasons["energy"] == found.power.reason
    assert found.total_runs == 2000
    assert all(repeat.energy_mj is None for repeat in found.repeats)
    assert found.invalid == ()


def test_a_meter_that_fails_now_and_then_is_noted(device):
    calls = iter(range(10**6))
    found = measure(device.run, instruments(device, Meter(device, fails=lambda: next(calls) % 50 == 49)))
    assert found.energy.net_mj == pytest.approx(40, rel=0.02)
    assert found.energy.failed_samples > 0
    assert any("failed and were left out" in note for note in found.notes)


def test_the_sampler_is_stopped_when_the_model_fails(device):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure(fail, instruments(device, Meter(device)))
    assert device.stopped == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "edgeformer-sampler"]


def test_an_idle_power_that_drifts_leaves_net_out(device):
    class Warming(Meter):
        def read_watts(self):
            return super().read_watts() + (0.3 if self.device.runs > 2000 else 0)

    found = measure(device.run, instruments(device, Warming(device)))
    assert found.energy.net_mj is None
    assert found.energy.gross_mj > 60
    assert "the idle power moved by +15.0 %" in found.reasons["energy.net_mj"]
    assert found.invalid == ()  # latency and gross energy count


def test_throttling_in_the_run_makes_it_invalid(device):
    device.active = lambda: frozenset({"under-voltage (get_throttled)"} if 1500 < device.runs < 1800 else ())
    found = measure(device.run, instruments(device))
    assert found.throttling.events == ("under-voltage (get_throttled)",)
    assert found.invalid == ("the device throttled itself: under-voltage (get_throttled). Cool it, or power it better",)


def test_throttling_from_before_the_run_does_not(device):
    device.counts = lambda: {"under-voltage (get_throttled)": 1, "core throttle count": 17}
    found = measure(device.run, instruments(device))
    assert found.throttling.events == ()
    assert found.throttling.earlier == ("under-voltage",)
    assert found.invalid == ()
    assert any("before this run, the device had seen: under-voltage" in note for note in found.notes)


def test_a_count_that_grows_in_the_run_does(device):
    device.counts = lambda: {"core throttle count": 17 + (device.runs > 1500)}
    assert measure(device.run, instruments(device)).throttling.events == ("core throttle count +1",)


def test_a_clock_that_falls_makes_it_invalid(device):
    device.clock = lambda: 1500.0 if device.runs < 2000 else 1200.0
    found = measure(device.run, instruments(device))
    assert (found.clock.start_mhz, found.clock.lowest_mhz) == (1500, 1200)
    assert found.invalid == ("the clock fell from 1500 to 1200 MHz during the run",)


def test_a_clock_that_is_low_when_idle_does_not(device):
    device.clock = lambda: 1500.0 if device.busy else 600.0
    found = measure(device.run, instruments(device))
    assert (found.clock.idle_mhz, found.invalid) == (600, ())


def test_repeats_that_disagree_make_it_invalid(device):
    device.latency_s = lambda: LATENCY_S * (1.2 if 2300 < device.runs < 2700 else 1)
    found = measure(device.run, instruments(device))
    assert any("the machine wasn't quiet: medians of the 5 repeats lie 20.0 % apart" in text for text in found.invalid)


def test_other_programs_make_it_invalid(device):
    device.others = 1.0
    found = measure(device.run, instruments(device))
    assert found.load.other_cores == pytest.approx(1, abs=0.01)
    assert any("kept 1.00 of 4 cores busy" in text for text in found.invalid)
    device.others = 0.2
    found = measure(device.run, instruments(device))
    assert found.invalid == ()
    assert any("kept 0.20 of 4 cores busy" in note for note in found.notes)


def test_what_watching_costs_is_measured(device):
    device.sampling_costs_s = 0.001
    found = measure(device.run, instruments(device, Meter(device)), STANDARD)
    assert found.sampling.overhead == pytest.approx(0, abs=1e-9)  # the median run sees no sample at ten a second
    device.sampling_costs_s, device.latency_s = 0.01, 0.1
    found = measure(device.run, instruments(device, Meter(device)), STANDARD)
    assert found.sampling.overhead == pytest.approx(0.1, abs=0.02)
    assert any("watching the sensors made runs" in note for note in found.notes)


def test_a_thermometer_without_plausible_values_has_reasons(device):
    device.temperature = lambda: None
    found = measure(device.run, instruments(device))
    assert found.thermal.max_c is None
    assert "no plausible temperature" in found.reasons["thermal.max_c"]


def test_sustained_windows(device):
    device.temperature = lambda: 50.0 + device.t / 1e3
    device.latency_s = lambda: LATENCY_S * (1 if device.t < 1e4 + 300 else 2)
    found = measure(device.run, instruments(device, Meter(device)), QUICK, sustained_s=600.0)
    lasting = found.sustained
    assert len(lasting.windows) == 60
    assert lasting.first_per_s == pytest.approx(100, rel=0.01)
    assert lasting.last_per_s == pytest.approx(50, rel=0.01)
    assert lasting.kept == pytest.approx(0.5, rel=0.01)
    assert lasting.windows[-1].temperature_c > lasting.windows[0].temperature_c
    assert lasting.windows[3].watts == pytest.approx(BUSY_W)
    assert found.invalid == ()  # the timed loop came before


@pytest.mark.parametrize(("others", "valid"), [(0.0, True), (1.0, False)])
def test_other_programs_during_the_sustained_run_are_seen(device, others, valid):
    """They begin when the timed loop has ended, which is over in seconds."""
    wait = device.run

    def run():
        device.others = others if device.t > 1e4 + 100 else 0.0
        wait()

    found = measure(run, instruments(device, Meter(device)), QUICK, sustained_s=600.0)
    assert found.load.other_cores in (None, pytest.approx(0, abs=0.01))
    assert found.sustained.other_cores == pytest.approx(others, abs=0.2)
    assert any("during the sustained run" in reason for reason in found.invalid) is not valid


def test_synthetic_feeds_are_valid_rows():
    inputs = (
        TensorSpec("input_ids", "int64", ("batch", "sequence"), 0),
        TensorSpec("other_ids", "int64", ("batch", "sequence"), 1),
        TensorSpec("attention_mask", "int64", ("batch", "sequence")),
        TensorSpec("segments", "int64", ("batch", "sequence"), role="token_types"),
        TensorSpec("pixels", "float32", ("batch", 3, 2)),
    )
    feeds = synthetic_feeds(inputs, {"sequence": 5})
    assert {name: (array.shape, array.flat[0]) for name, array in feeds.items() if name != "pixels"} == {
        "input_ids": ((1, 5), 1),
        "other_ids": ((1, 5), 0),
        "attention_mask": ((1, 5), 1),
        "segments": ((1, 5), 0),
    }
    assert feeds["pixels"].shape == (1, 3, 2)
    assert feeds["pixels"].dtype == np.float32
    np.testing.assert_array_equal(feeds["pixels"], synthetic_feeds(inputs, {"sequence": 5})["pixels"])
