from __future__ import annotations

import pytest

from edgeformer_runtime import power
from edgeformer_runtime.errors import SensorError
from edgeformer_runtime.power import rapl


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def zone(device, folder, name, energy, span=262143328850):
    for file, value in {"name": name, "energy_uj": energy, "max_energy_range_uj": span}.items():
        device.write(f"sys/class/powercap/{folder}/{file}", value)


def search(device, clock):
    return rapl.search(power.Surroundings(device.root, {}, device.run), clock)


def opened(meter):
    with pytest.raises(power.NotYetError):
        meter.read_watts()
    return meter


def test_two_packages_are_added(device):
    zone(device, "intel-rapl:0", "package-0", 100)
    zone(device, "intel-rapl:1", "package-1", 200)
    clock = Clock()
    meter = opened(search(device, clock).meters[0])
    zone(device, "intel-rapl:0", "package-0", 20_000_100)
    zone(device, "intel-rapl:1", "package-1", 30_000_200)
    clock.now = 1.0
    assert meter.read_watts() == pytest.approx(50.0)
    assert meter.rail == "package-0+package-1"


def test_a_psys_below_its_package_is_refused_and_the_package_stays(device):
    zone(device, "intel-rapl:0", "package-0", 0)
    zone(device, "intel-rapl:1", "psys", 0)
    clock = Clock()
    platform, package = search(device, clock).meters
    opened(platform)
    opened(package)
    zone(device, "intel-rapl:0", "package-0", 20_000_000)
    zone(device, "intel-rapl:1", "psys", 3_000_000)
    clock.now = 1.0
    with pytest.raises(SensorError, match="less than the packages inside it"):
        platform.read_watts()
    assert package.read_watts() == pytest.approx(20.0)


def test_packages_by_mmio_alone_are_taken(device):
    zone(device, "intel-rapl-mmio:0", "package-0", 5)
    assert [meter.rail for meter in search(device, Clock()).meters] == ["package-0"]


def test_a_container_that_hides_the_counter_is_told(device):
    device.write("sys/class/powercap/intel-rapl:0/name", "package-0")
    found = search(device, Clock())
    assert found.meters == ()
    assert "containers" in found.refused[0]


def test_one_unreadable_package_makes_no_partial_sum(device):
    zone(device, "intel-rapl:0", "package-0", 5)
    zone(device, "intel-rapl:1", "package-1", "garbage")
    found = search(device, Clock())
    assert found.meters == ()
    assert "garbage" in found.refused[0]


def test_two_packages_of_one_name_are_refused(device):
    zone(device, "intel-rapl:0", "package-0", 5)
    zone(device, "intel-rapl:1", "package-0", 5)
    assert "one name" in search(device, Clock()).refused[0]


def test_a_machine_with_other_zones_only_says_so(device):
    zone(device, "intel-rapl:0", "dram", 5)
    assert search(device, Clock()).refused == ("neither a package nor the platform among dram",)
