"""INA219, INA226, INA260 and their kin with a kernel driver (hwmon): on hats and on many boards' inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

from ..errors import SensorError
from .base import Found, Place, Surroundings
from .boards import jetson_module
from .hwmon import FOLDER, Channel, chips, interval_s
from .rails import Grade, Rail, RailMeter
from .sysfs import number_or_none, read_number, shown, text_or_none

FAMILY = "ina2xx"
SCOPE_VARIABLE = "EDGEFORMER_POWER_SCOPE"
# The chip can't know what hangs behind its shunt.
UNKNOWN_SCOPE = "one supply rail"
_CHIPS = ("ina209", "ina219", "ina220", "ina226", "ina228", "ina230", "ina231", "ina237", "ina238", "ina260")
# Step of the power register times the shunt, in W·Ω: 20 times 10 µV, 25 times 2.5 µV (data sheets SBOS448, SBOS547)
_POWER_STEP = {"ina219": 2e-4, "ina220": 2e-4, "ina226": 6.25e-5, "ina230": 6.25e-5, "ina231": 6.25e-5}
# Gain errors of shunt and bus voltage, added; the shunt's own tolerance, often 1 %, is on top
ACCURACY: Dict[str, float] = {"ina226": 0.002, "ina238": 0.007, "ina237": 0.007}


@dataclass(frozen=True)
class Monitor:
    """One chip, by its folder."""

    folder: Path

    def watts(self) -> float:
        """``power1_input`` in W, or voltage times current. Raises SensorError.

        The power register has no sign, so a reversed current would read as consumption: the current is looked at too.
        """
        milliamperes = number_or_none(self.folder / "curr1_input")
        if milliamperes is not None and milliamperes < 0:
            raise SensorError(
                f"{self.folder.name}: current of {milliamperes:g} mA: the shunt is wired the other way round, or "
                "current flows back"
            )
        if (self.folder / "power1_input").exists():
            return read_number(self.folder / "power1_input") / 1e6
        return Channel(self.folder, 1, "power1").watts()


def stated_scope(here: Surroundings) -> Optional[str]:
    """What the user says that a monitor's watts cover."""
    return here.environ.get(SCOPE_VARIABLE, "").strip() or None


def search(here: Surroundings) -> Found:
    """One meter a chip. What it covers is the user's to say, in EDGEFORMER_POWER_SCOPE."""
    module = jetson_module(here.root)
    thor = module is not None and module.name == "Jetson Thor"
    monitors = [(folder, name) for folder, name in chips(here.root, *_CHIPS) if not (thor and name == "ina238")]
    if not monitors:
        return Found(places=(Place(f"/{FOLDER}/hwmon*/name (ina2*)", False, "no INA219, INA226 or INA260"),))
    meters: List[RailMeter] = []
    places: List[Place] = []
    for folder, name in monitors:
        shunt = number_or_none(folder / "shunt_resistor")
        ohms = shunt / 1e6 if shunt and shunt > 0 else None
        step = _POWER_STEP[name] / ohms if ohms and name in _POWER_STEP else None
        rail = Rail(_label(folder, name), Monitor(folder).watts)
        grade = Grade(step, ACCURACY.get(name), interval_s(folder, 0.1))
        meters.append(RailMeter(FAMILY, stated_scope(here) or UNKNOWN_SCOPE, [rail], grade=grade))
        told = f"{name}, shunt {ohms:g} Ω as the driver believes: compare with the board" if ohms else name
        places.append(Place(shown(folder, here.root), True, told))
    if len(meters) > 1 and stated_scope(here):
        reason = f"{len(meters)} chips, and {SCOPE_VARIABLE} says what one covers: unset it, or remove the others"
        return Found(places=tuple(places), refused=(reason,))
    return Found(tuple(meters), tuple(places))


def _label(folder: Path, name: str) -> str:
    label = text_or_none(folder / "in1_label") or text_or_none(folder / "label")
    try:
        address = (folder / "device").resolve().name  # "1-0040": bus and address, stable from boot to boot
    except (OSError, RuntimeError):
        address = ""
    return label or (f"{name} {address}" if "-" in address else f"{name} {folder.name}")
