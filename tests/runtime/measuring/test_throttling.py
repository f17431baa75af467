from __future__ import annotations

import pytest

from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.measuring.throttling import Throttles, ThrottleState, events, history
from edgeformer_runtime.power.base import Surroundings

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies


def no_tool(argv):
    raise SensorError(f"{argv[0]} isn't installed")


def here(root, run=no_tool):
    return Surroundings(root, {}, run)


def put(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def pi(value):
    return lambda argv: f"throttled={value}\n" if argv == ["vcgencmd", "get_throttled"] else ""


# the lines of the captured file: 0x0 real, the others in its format
@pytest.mark.parametrize(
    ("value", "now", "earlier"),
    [
        ("0x0", [], []),
        ("0x50005", ["throttled", "under-voltage"], ["throttled", "under-voltage"]),
        ("0x50000", [], ["throttled", "under-voltage"]),
        ("0x10000", [], ["under-voltage"]),
        ("0xe0008", ["soft temperature limit"], ["Arm clock capped", "soft temperature limit", "throttled"]),
    ],
)
def test_bits_of_the_raspberry_pi(tmp_path, value, now, earlier):
    for throttles in (Throttles(here(tmp_path, pi(value))), sysfs_pi(tmp_path, value[2:])):
        state = throttles.read()
        assert sorted(state.active) == [f"{name} (get_throttled)" for name in now]
        assert list(history(state)) == earlier
        assert throttles.names == ("get_throttled",)


def sysfs_pi(tmp_path, value):
    put(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", f"{value}\n")
    return Throttles(here(tmp_path))


@hypothesis.settings(max_examples=100, deadline=None, database=None)
@hypothesis.given(st.integers(0, 15), st.integers(0, 15), st.integers(0, 15))
def test_an_event_is_what_is_new(remembered, now, new):
    def state(active, memory):
        names = ["under-voltage", "Arm clock capped", "throttled", "soft temperature limit"]
        words = [f"{name} (get_throttled)" for name in names]
        chosen = frozenset(word for bit, word in enumerate(words) if active >> bit & 1)
        return ThrottleState(chosen, {word: memory >> bit & 1 for bit, word in enumerate(words)})

    before, after = state(0, remembered), state(0, remembered | new)
    found = events(before, [state(now, 0).active], after)
    assert len(found) == bin(now | (new & ~remembered)).count("1")
    assert events(before, [], before) == ()


def test_synthetic_intel_counts(tmp_path):
    files = [
        put(tmp_path, f"sys/devices/system/cpu/cpu{core}/thermal_throttle/{kind}_throttle_count", "7\n")
        for core in (0, 1)
        for kind in ("core", "package")
    ]
    throttles = Throttles(here(tmp_path))
    before = throttles.read()
    assert throttles.names == ("thermal_throttle",)
    assert events(before, [], throttles.read()) == ()
    files[0].write_text("9\n")
    assert events(before, [], throttles.read()) == ("core throttle count +2",)
    files[0].write_text("garbage")
    assert events(before, [], throttles.read()) == ()


def test_synthetic_jetson_over_current_and_alerts(tmp_path):
    count = put(tmp_path, "sys/class/hwmon/hwmon3/oc3_event_cnt", "1\n")
    alert = put(tmp_path, "sys/class/thermal/cooling_device0/cur_state", "0\n")
    put(tmp_path, "sys/class/thermal/cooling_device0/type", "cpu-throttle-alert\n")
    put(tmp_path, "sys/class/thermal/cooling_device1/type", "pwm-fan\n")
    put(tmp_path, "sys/class/thermal/cooling_device1/cur_state", "3\n")
    throttles = Throttles(here(tmp_path))
    before = throttles.read()
    assert before.active == frozenset()
    assert throttles.names == ("over-current events", "cooling devices")
    count.write_text("2\n")
    alert.write_text("1\n")
    assert events(before, [], throttles.read()) == ("cpu-throttle-alert at 1", "oc3 over-current event +1")


@pytest.mark.parametrize("text", ["", "throttled=", "throttled=zz", 'error=1 error_msg="x"', "throttled=0x" + "f" * 40])
def test_a_tool_that_says_nonsense_is_no_source(tmp_path, text):
    throttles = Throttles(here(tmp_path, lambda argv: text))
    assert (throttles.names, throttles.active(), throttles.read()) == ((), frozenset(), ThrottleState(frozenset(), {}))
