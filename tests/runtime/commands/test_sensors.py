"""`edgeformer-run sensors` on devices that are made of files."""

from __future__ import annotations

import json

import pytest

from edgeformer_runtime import power
from edgeformer_runtime.cli import main


@pytest.fixture
def laptop(tmp_path, monkeypatch):
    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    write("sys/class/power_supply/BAT0/type", "Battery")
    write("sys/class/power_supply/BAT0/status", "Discharging")
    write("sys/class/power_supply/BAT0/power_now", "19195000")
    write("sys/class/hwmon/hwmon1/name", "ina3221")
    write("sys/class/hwmon/hwmon1/in1_label", "VDD_X")
    find = power.find
    monkeypatch.setattr(power, "find", lambda: find(tmp_path, {}))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return write


def run(capsys, *arguments):
    status = main(["sensors", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_what_was_found_refused_and_looked_at_is_shown(laptop, capsys):
    status, out, _ = run(capsys)
    assert status == 0
    assert "battery: 19.195 W, measured, covers: battery" in out
    assert "jetson_ina3221: a board without a name isn't a Jetson known here" in out
    assert "none    /sys/class/powercap/*/energy_uj: no energy counter" in out


def test_json_holds_every_meter_with_its_status_and_scope(laptop, capsys):
    told = json.loads(run(capsys, "--json")[1])
    assert told["power"]["watts"] == 19.195
    (meter,) = told["meters"]
    assert (meter["family"], meter["status"], meter["scope"], meter["watts"]) == (
        "battery",
        "measured",
        "battery",
        19.195,
    )
    assert told["refused"][0].startswith("jetson_ina3221: ")
    assert {place["exists"] for place in told["looked_at"]} == {True, False}


def test_watching_is_a_line_a_second_that_is_a_log_for_another_device(laptop, capsys, tmp_path):
    status, out, _ = run(capsys, "--watch", "--count", "3")
    assert (status, len(out.splitlines())) == (0, 3)
    assert "19.195 W  measured, battery (battery)" in out
    lines = [json.loads(line) for line in run(capsys, "--watch", "--count", "2", "--json")[1].splitlines()]
    assert [line["watts"] for line in lines] == [19.195, 19.195]
    assert lines[0]["unix_s"] > 0


def test_a_sensor_that_falls_silent_is_a_reason_and_no_zero(laptop, capsys):
    laptop("sys/class/power_supply/BAT0/power_now", "0")
    status, out, _ = run(capsys)
    assert (status, "power: unavailable" in out) == (0, True)
    assert "reads 0 W while discharging" in out
    status, out, err = run(capsys, "--watch")
    assert (status, out) == (1, "")
    assert "no power sensor" in err


def test_count_without_watch_is_a_wrong_call(laptop, capsys):
    assert run(capsys, "--count", "3")[0] == 2
    assert run(capsys, "--watch", "--count", "0")[0] == 2
