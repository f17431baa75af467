from __future__ import annotations

import json
import math

import pytest

from edgeformer_runtime import power
from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.power import external
from edgeformer_runtime.power.power_log import LogMeter


class Source:
    def __init__(self, value):
        self.value = value

    def read_watts(self):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def log(tmp_path, text, name="meter.csv", **more):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return LogMeter(path, **more)


CSV = "unix_s,watts,note\n100,5.0,a\n101,7.0,b\n102,6.0,c\n"


def test_an_object_with_read_watts_is_a_meter():
    meter = external.wrap(Source(4.2), name="bench supply", accuracy_fraction=0.01)
    assert meter.read_watts() == 4.2
    assert (meter.family, meter.status, meter.scope, meter.rail) == (
        "external",
        "measured",
        "external meter",
        "bench supply",
    )


@pytest.mark.parametrize(
    "value", [None, math.nan, math.inf, -1.0, 0.0, "text", [], 1e9, ValueError("x"), OSError(5, "x")]
)
def test_whatever_the_object_does_wrong_is_a_sensor_error(value):
    with pytest.raises(SensorError):
        external.wrap(Source(value)).read_watts()


def test_an_object_without_read_watts_and_a_wrong_interval_are_refused():
    with pytest.raises(SensorError, match="has no read_watts"):
        external.wrap(object())
    with pytest.raises(SensorError, match="min_interval_s"):
        external.wrap(Source(1.0), min_interval_s=0)


def test_a_jsonl_log_with_volts_amperes_and_iso_times(tmp_path):
    rows = [
        {"time": "1970-01-01T00:01:40Z", "volts": 5.0, "amperes": 1.0},
        {"time": "1970-01-01T01:01:41.500+01:00", "volts": 5.0, "amperes": 2.0},
    ]
    now = [100.0]
    meter = log(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "meter.jsonl", clock=lambda: now[0])
    assert meter.read_watts() == 5.0
    now[0] = 101.5
    assert meter.read_watts() == 10.0


def test_the_stated_offset_moves_the_log_to_the_devices_clock(tmp_path):
    now = [3701.0]
    meter = log(tmp_path, CSV, offset_s=3600, clock=lambda: now[0])
    assert meter.min_interval_s == 1.0
    assert meter.read_watts() == 7.0
    now[0] = 101.0
    with pytest.raises(SensorError, match="is the clocks' offset stated"):
        meter.read_watts()


def test_a_log_that_grows_is_read_on_and_a_half_line_is_left(tmp_path):
    now = [102.5]
    meter = log(tmp_path, CSV + "103,9", clock=lambda: now[0])
    assert meter.read_watts() == 6.0
    now[0] = 103.5
    assert meter.read_watts() == 6.0  # "9" may still become "9.75"
    with (tmp_path / "meter.csv").open("a") as file:
        file.write(".75,d\n")
    assert meter.read_watts() == 9.75
    now[0] = 110.0
    with pytest.raises(SensorError, match="is it still written"):
        meter.read_watts()
    now[0] = 50.0  # a wall clock that jumped back is before every sample
    with pytest.raises(SensorError, match="no sample within"):
        meter.read_watts()


def test_a_log_that_was_replaced_or_removed_is_an_error(tmp_path):
    meter = log(tmp_path, CSV, clock=lambda: 102.0)
    (tmp_path / "meter.csv").write_text("unix_s,watts\n")
    with pytest.raises(SensorError, match="became shorter"):
        meter.read_watts()
    (tmp_path / "meter.csv").unlink()
    with pytest.raises(SensorError, match="No such file"):
        meter.read_watts()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no whole sample"),
        ("unix_s,watts\n", "no whole sample"),
        ("a,b\n1,2\n", "columns 'a, b'"),
        ("unix_s,watts,watts\n1,2,3\n", "columns"),
        ("unix_s,watts\n1\n", "1 values"),
        ("unix_s,watts\n1,nan\n", "isn't a number"),
        ("unix_s,watts\n1,-5\n", "-5 W"),
        ("unix_s,watts\n1,1e9\n", "expected 0 to"),
        ("unix_s,watts\n1,\n", "expected watts"),
        ("unix_s,watts\n2,1\n1,1\n", "out of order"),
        ("unix_s,watts\n2,1\n2,1\n", "out of order"),
        ("time,watts\n2025-01-01T00:00:00,1\n", "no zone"),
        ("time,watts\nyesterday,1\n", "ISO 8601"),
        ('{"unix_s": 1, "watts": true}\n', "isn't a number"),
        ('{"unix_s": 1}\n', "expected watts"),
        ('{"watts": 1}\n', "expected unix_s"),
        ("{broken\n", "not JSON"),
        ("\x00\x01\n", "columns|not CSV"),
        ("unix_s,watts\n1," + "9" * 200_000 + "\n", "not CSV"),
    ],
)
def test_a_log_that_is_no_log_says_what_is_wrong_and_where(tmp_path, text, reason):
    with pytest.raises(SensorError, match=reason):
        log(tmp_path, text)


def test_the_log_that_the_environment_names_is_the_best_meter(device, tmp_path):
    path = tmp_path / "named.csv"
    path.write_text(CSV)
    device.environ["EDGEFORMER_POWER_LOG"] = str(path)
    device.environ["EDGEFORMER_POWER_LOG_OFFSET_S"] = "-100"
    device.supply("BAT0", "POWER_SUPPLY_STATUS=Discharging\nPOWER_SUPPLY_POWER_NOW=7000000")
    meters = device.find().meters
    assert [meter.family for meter in meters] == ["external", "battery"]
    with pytest.raises(SensorError, match=r"the log has 0\.0 to 2\.0"):
        meters[0].read_watts()
    device.environ["EDGEFORMER_POWER_LOG_OFFSET_S"] = "later"
    assert device.find().refused == ("external: EDGEFORMER_POWER_LOG_OFFSET_S: expected seconds as a number",)
    device.environ.update(EDGEFORMER_POWER_LOG="/no/such/log", EDGEFORMER_POWER_LOG_OFFSET_S="")
    assert "No such file" in device.find().refused[0]
    assert power.reading(device.find()).watts == 7.0
