from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeformer_runtime import power
from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.power import PowerReading, command, sysfs


def test_an_empty_machine_is_unavailable_and_says_where_was_looked(device):
    reading = power.read(device.root)
    assert (reading.status, reading.watts) == ("unavailable", None)
    assert "no power sensor" in reading.reason
    paths = " ".join(place.path for place in reading.looked_at)
    for place in ("hwmon", "powercap", "power_supply", "vcgencmd", "ina3221x", "energy_value"):
        assert place in paths
    assert not any(place.exists for place in reading.looked_at)


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


def test_every_family_is_a_module_with_a_search(device):
    here = power.Surroundings(device.root, {}, device.run)
    for name in power.FAMILIES:
        found = power.get_family(name).search(here)
        assert found.meters == ()
        assert getattr(power.get_family(name), "FAMILY", "none") == name


def test_a_total_comes_before_a_part_and_an_estimate_last(device):
    device.board("NVIDIA Jetson Orin Nano Developer Kit", "nvidia,p3768-0000+p3767-0005")
    device.ina3221(1, {"VDD_IN": 5000, "VDD_CPU_GPU_CV": 1000, "VDD_SOC": 900})
    device.hwmon(2, "ina219", in1_input=5000, curr1_input=200, power1_input=1000000)
    device.environ["EDGEFORMER_POWER_SCOPE"] = "board input"
    assert [meter.scope for meter in device.find().meters] == ["board input", "module"]
    device.environ.clear()
    assert [meter.scope for meter in device.find().meters] == ["module", "one supply rail"]


def test_two_chips_with_one_stated_scope_are_refused(device):
    for number in (1, 2):
        device.hwmon(number, "ina219", in1_input=5000, curr1_input=200, power1_input=1000000)
    assert len(device.find().meters) == 2
    device.environ["EDGEFORMER_POWER_SCOPE"] = "board input"
    assert device.find().meters == ()
    assert "EDGEFORMER_POWER_SCOPE" in power.reading(device.find()).reason


def test_a_family_that_breaks_hides_no_other(device, monkeypatch):
    device.supply("BAT0", "POWER_SUPPLY_STATUS=Discharging\nPOWER_SUPPLY_POWER_NOW=7000000")

    def broken(here):
        raise RuntimeError("a bug")

    monkeypatch.setattr(power.get_family("rapl"), "search", broken)
    found = device.find()
    assert power.reading(found).watts == 7.0
    assert found.refused == ("rapl: the search failed: RuntimeError: a bug",)


def test_a_reading_takes_the_next_meter_when_the_best_is_silent(device):
    device.board("NVIDIA Jetson Orin Nano Developer Kit", "nvidia,p3768-0000+p3767-0005")
    device.ina3221(1, {"VDD_IN": 0, "VDD_CPU_GPU_CV": 0, "VDD_SOC": 0})
    device.hwmon(2, "ina219", in1_input=5000, curr1_input=200, power1_input=1000000)
    reading = power.reading(device.find())
    assert (reading.family, reading.watts, reading.scope) == ("ina2xx", 1.0, "one supply rail")


def test_another_root_runs_no_command_of_this_machine(device):
    device.board("Raspberry Pi 5 Model B Rev 1.0")
    found = power.find(device.root, {})
    assert any("not run" in reason for reason in found.refused)


def test_an_unknown_jetson_claims_no_total_and_lists_its_rails(device):
    device.board("NVIDIA Jetson Future", "nvidia,p9999-0000 nvidia,tegra999")
    device.ina3221(0, {"VDD_IN": 5000, "VDD_X": 1000})
    found = device.find()
    assert found.meters == ()
    assert any("NVIDIA Jetson Future" in reason and "VDD_IN, VDD_X" in reason for reason in found.refused)


def test_a_board_that_is_no_jetson_is_never_taken_for_one(device):
    device.board("Somebody's Jetson Nano clone", "acme,board")
    device.iio({"POM_5V_IN": 2000, "POM_5V_GPU": 0, "POM_5V_CPU": 0})
    assert device.find().meters == ()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("NVIDIA Jetson TX2 NX Developer Kit", "Jetson TX2 NX"),
        ("NVIDIA Jetson TX2 Developer Kit", "Jetson TX2"),
        ("NVIDIA Jetson AGX Xavier Developer Kit", "Jetson AGX Xavier"),
        ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "Jetson Orin Nano or NX"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "Jetson AGX Orin"),
        ("NVIDIA Jetson AGX Thor Developer Kit", "Jetson Thor"),
        ("NVIDIA Something", None),
    ],
)
def test_modules_are_known_by_their_model_without_a_part_number(device, model, name):
    device.board(model, "nvidia,tegra")
    module = power.boards.jetson_module(device.root)
    assert (module and module.name) == name


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expected a number"),
        (b"nan", "expected a number"),
        (b"1e9", "expected a number"),
        (b"1_000", "expected a number"),
        (b"0x10", "expected a number"),
        ("١٢".encode(), "expected a number"),
        (b"12 34", "expected a number"),
        (b"\xff\xfe\x00", "not text"),
        (b"9" * 100_000, "longer than"),
        (b"9" * 30, "expected a number"),
    ],
)
def test_what_is_no_number_is_never_read_as_one(tmp_path, content, reason):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(SensorError, match=reason):
        sysfs.read_number(tmp_path / "file")
    assert sysfs.number_or_none(tmp_path / "file") is None


@pytest.mark.parametrize(("content", "number"), [(b"42\n", 42.0), (b"-7", -7.0), (b" 1.5 \0\n", 1.5)])
def test_plain_numbers_are_read(tmp_path, content, number):
    (tmp_path / "file").write_bytes(content)
    assert sysfs.read_number(tmp_path / "file") == number


def test_a_pipe_or_a_folder_in_a_sensors_place_stops_nothing(tmp_path):
    sysfs.os.mkfifo(str(tmp_path / "pipe"))
    for name in ("pipe", ""):
        with pytest.raises(SensorError):
            sysfs.read_number(tmp_path / name)


def test_commands_that_fail_hang_or_flood_are_sensor_errors(monkeypatch):
    python = sys.executable
    monkeypatch.setattr(command, "TIMEOUT_S", 60.0)
    assert command.run_command([python, "-c", "print('hello')"]) == "hello\n"
    with pytest.raises(SensorError, match="isn't installed"):
        command.run_command(["no-such-command-anywhere"])
    with pytest.raises(SensorError, match="exit status 3: oh"):
        command.run_command([python, "-c", "import sys; print('oh'); sys.exit(3)"])
    with pytest.raises(SensorError, match="bytes of output"):
        command.run_command([python, "-c", "print('x' * 100000)"])
    monkeypatch.setattr(command, "TIMEOUT_S", 0.2)
    with pytest.raises(SensorError, match=r"no answer within 0\.2 s"):
        command.run_command([python, "-c", "import time; time.sleep(600)"])


def test_the_names_in_this_folder_are_the_families(tmp_path):
    folder = Path(power.__file__).parent
    shared = {"__init__", "base", "boards", "command", "counters", "hwmon", "jetson", "power_log", "rails", "sysfs"}
    assert {path.stem for path in folder.glob("*.py")} - shared == set(power.FAMILIES)
