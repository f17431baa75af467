from __future__ import annotations

import pytest

from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.measuring.thermal import find_thermometer
from edgeformer_runtime.power.base import Surroundings


def no_tool(argv):
    raise SensorError(f"{argv[0]} isn't installed")


@pytest.fixture
def root(tmp_path):
    return tmp_path


def zone(root, index, kind, temperature):
    folder = root / f"sys/class/thermal/thermal_zone{index}"
    folder.mkdir(parents=True)
    (folder / "type").write_text(f"{kind}\n")
    (folder / "temp").write_text(f"{temperature}\n")
    return folder / "temp"


def find(root, run=no_tool):
    return find_thermometer(Surroundings(root, {}, run))


def test_synthetic_jetson_orin_takes_the_hottest_junction(root):
    for index, (kind, temperature) in enumerate(
        [("cpu-thermal", 48468), ("gpu-thermal", 48562), ("cv0-thermal", -256000), ("tj-thermal", 49156)]
    ):
        zone(root, index, kind, temperature)
    found, reason = find(root)
    assert (found.name, found.read_c(), reason) == ("tj-thermal", 49.156, None)


def test_synthetic_jetson_nano_leaves_out_the_fixed_pmic(root):
    zone(root, 0, "AO-therm", 39500)
    zone(root, 1, "CPU-therm", 36500)
    zone(root, 2, "PMIC-Die", 100000)
    assert find(root)[0].read_c() == 36.5


def test_synthetic_clusters_give_the_hottest(root):
    first = zone(root, 0, "cpu-0-0-usr", 40000)
    zone(root, 1, "cpu-1-0-usr", 45000)
    found = find(root)[0]
    assert found.name == "hottest of 2: cpu-0-0-usr, cpu-1-0-usr"
    assert found.read_c() == 45.0
    first.write_text("61000")
    assert found.read_c() == 61.0


def test_synthetic_hwmon_package_before_other_chips(root):
    for number, name, label, value in ((0, "nvme", "Composite", 70000), (1, "coretemp", "Package id 0", 51000)):
        folder = root / f"sys/class/hwmon/hwmon{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(name)
        (folder / "temp1_label").write_text(label)
        (folder / "temp1_input").write_text(str(value))
    found = find(root)[0]
    assert (found.name, found.read_c()) == ("Package id 0", 51.0)


@pytest.mark.parametrize(
    "text", ["-256000", "nan", "", "garbage", "999999999", "65535000", "-40000", "1e3", "\x00\xff"]
)
def test_what_is_no_temperature(root, text):
    file = zone(root, 0, "cpu-thermal", 40000)
    found = find(root)[0]
    file.write_text(text)
    assert found.read_c() is None
    file.unlink()
    assert found.read_c() is None
    assert find(root)[0] is None


def test_only_what_is_not_the_processor_is_no_thermometer(root):
    zone(root, 0, "iwlwifi_1", 45000)
    zone(root, 1, "acpitz", 27800)
    found, reason = find(root)
    assert found is None
    assert "not the processor's: acpitz, iwlwifi_1" in reason


def test_vcgencmd(root):
    said = ["temp=39.5'C\n"]  # captured on a Raspberry Pi
    found, _ = find(root, lambda argv: said[0] if argv == ["vcgencmd", "measure_temp"] else "")
    assert (found.name, found.read_c()) == ("vcgencmd measure_temp", 39.5)
    for wrong in ('error=1 error_msg="Command not registered"', "temp=nan'C", "temp=-256.0'C", ""):
        said[0] = wrong
        assert found.read_c() is None
