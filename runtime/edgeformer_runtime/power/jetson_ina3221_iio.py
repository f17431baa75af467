"""Jetson with NVIDIA's own INA3221 driver (iio), of L4T R32: Nano, TX1, TX2, and Xavier with JetPack 4."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Tuple

from ..errors import SensorError
from .base import Found, Place, Surroundings
from .jetson import INA3221_ACCURACY, MAX_W, choose
from .rails import Grade, Rail, RailMeter
from .sysfs import listing, read_number, shown, text_or_none

FAMILY = "jetson_ina3221_iio"
_DRIVER = "sys/bus/i2c/drivers/ina3221x"


def search(here: Surroundings) -> Found:
    """The module's total, with the other rails beside it; refused on boards whose rails aren't known."""
    monitors = [
        device
        for address in listing(here.root / _DRIVER)
        for device in listing(address)
        if device.name.startswith("iio:device")
    ]
    if not monitors:
        return Found(
            places=(Place(f"/{_DRIVER}/*/iio:device*/rail_name_*", False, "no INA3221 with L4T's iio driver"),)
        )
    labelled: List[Tuple[Optional[str], Rail]] = []
    for device in monitors:
        labelled += _rails(device)
    names = ", ".join(label or "?" for label, _ in labelled)
    places = tuple(Place(shown(device, here.root), True, f"INA3221; rails of all: {names}") for device in monitors)
    total, rest, why = choose(here.root, labelled)
    if why is not None:
        return Found(places=places, refused=(why,))
    # the driver says neither its shunts nor its averaging, so one step is unknown
    grade = Grade(None, INA3221_ACCURACY, 0.01)
    return Found((RailMeter(FAMILY, "module", total, rest, grade, limit_w=MAX_W),), places)


def _rails(device: Path) -> List[Tuple[Optional[str], Rail]]:
    found: List[Tuple[Optional[str], Rail]] = []
    for number in range(3):
        label = text_or_none(device / f"rail_name_{number}")
        if label and label.upper() != "NC":
            found.append((label, Rail(label, _Milliwatts(device / f"in_power{number}_input"))))
    return found


class _Milliwatts:
    """Watts of a file in mW."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> float:
        milliwatts = read_number(self.path)
        if milliwatts < 0:
            raise SensorError(f"{self.path}: {milliwatts:g} mW is negative")
        return milliwatts / 1e3
