"""No sensor: says where one was looked for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Tuple

from .base import Place, PowerReading

_INA_DRIVERS = ("ina",)  # ina219, ina226, ina238, ina3221: what boards measure their supply with


class NoSensor:
    """Stands in where no family has a sensor, and lists the places where boards have one."""

    name = "none"

    def places(self, root: Path) -> Tuple[Place, ...]:
        """The usual places, whether each exists, and why it gives no power."""
        return (_hwmon(root), _powercap(root), _power_supply(root), _vcgencmd())

    def read(self, root: Path) -> PowerReading:
        """Always unavailable."""
        places = self.places(root)
        found = [place.path for place in places if place.exists]
        where = f"; {', '.join(found)} exist and are not read by this release" if found else ""
        reason = f"no power sensor that this release can read, of {len(places)} places looked at{where}"
        return PowerReading("unavailable", self.name, reason=reason, looked_at=places)


def _hwmon(root: Path) -> Place:
    pattern = "/sys/class/hwmon/hwmon*/name (ina*)"
    for path in sorted((root / "sys/class/hwmon").glob("hwmon*/name")):
        try:
            driver = path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue
        if driver.startswith(_INA_DRIVERS):
            return Place(pattern, True, f"{driver}: a supply monitor, its rails aren't read by this release")
    return Place(pattern, False, "no INA supply monitor")


def _powercap(root: Path) -> Place:
    pattern = "/sys/class/powercap/*/energy_uj"
    counters = sorted((root / "sys/class/powercap").glob("*/energy_uj"))
    if not counters:
        return Place(pattern, False, "no energy counter of the processor")
    if not any(os.access(str(path), os.R_OK) for path in counters):
        return Place(pattern, True, "energy counters of the processor, readable by root only")
    return Place(pattern, True, "energy counters of the processor, not read by this release")


def _power_supply(root: Path) -> Place:
    pattern = "/sys/class/power_supply/*/{power_now,current_now}"
    folder = root / "sys/class/power_supply"
    if any(any(folder.glob(f"*/{name}")) for name in ("power_now", "current_now")):
        return Place(pattern, True, "a battery's gauge, not read by this release")
    return Place(pattern, False, "no battery gauge")


def _vcgencmd() -> Place:
    found = shutil.which("vcgencmd")
    if found is None:
        return Place("vcgencmd pmic_read_adc", False, "no vcgencmd, the Raspberry Pi's own tool")
    return Place("vcgencmd pmic_read_adc", True, f"{found}: its PMIC readings aren't read by this release")


FAMILY = NoSensor()
