from __future__ import annotations

import pytest

from edgeformer_runtime import power
from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.power import PowerReading


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_an_empty_machine_is_unavailable_and_says_where_was_looked(tmp_path):
    reading = power.read(tmp_path)
    assert (reading.status, reading.watts) == ("unavailable", None)
    assert "no power sensor" in reading.reason
    paths = " ".join(place.path for place in reading.looked_at)
    for place in ("hwmon", "powercap", "power_supply", "vcgencmd"):
        assert place in paths
    assert power.probe(tmp_path) == reading.looked_at


def test_what_exists_is_named_and_not_read(tmp_path):
    write(tmp_path, "sys/class/hwmon/hwmon0/name", "coretemp\n")
    write(tmp_path, "sys/class/hwmon/hwmon3/name", "ina3221\n")
    write(tmp_path, "sys/class/powercap/intel-rapl:0/energy_uj", "1")
    write(tmp_path, "sys/class/power_supply/BAT0/power_now", "1")
    reading = power.read(tmp_path)
    assert reading.watts is None
    found = {place.path.split("/")[3]: place.note for place in reading.looked_at if place.exists}
    assert set(found) >= {"hwmon", "powercap", "power_supply"}
    assert "ina3221" in found["hwmon"]


def test_a_reading_is_a_number_or_a_reason():
    PowerReading("measured", "x", watts=3.0, scope="board input")
    for wrong in (
        {"status": "measured", "family": "x"},
        {"status": "measured", "family": "x", "watts": 3.0},
        {"status": "unavailable", "family": "x"},
        {"status": "unavailable", "family": "x", "watts": 0.0, "reason": "none"},
        {"status": "guessed", "family": "x", "watts": 1.0, "scope": "x"},
    ):
        with pytest.raises(SensorError):
            PowerReading(**wrong)
    with pytest.raises(SensorError, match="expected one of"):
        power.get_family("thermometer")
