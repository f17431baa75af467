"""Supply monitors under /sys/class/hwmon, found by name and label: their numbers change from boot to boot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from ..errors import SensorError
from .rails import Rail
from .sysfs import listing, number_or_none, read_number, text_or_none

FOLDER = "sys/class/hwmon"


@dataclass(frozen=True)
class Channel:
    """One channel of a monitor: bus voltage in mV, current in mA, and a shunt in µΩ where the driver says it."""

    folder: Path
    number: int
    label: Optional[str]

    def watts(self, shunt_step_uv: float = 0.0) -> float:
        """mV × mA in W. Raises SensorError.

        A current that is negative by at most two steps of the converter (``shunt_step_uv``) is its offset, and stays
        in a sum as it is; any other negative current is refused.
        """
        volts = read_number(self.folder / f"in{self.number}_input") / 1e3
        amperes = read_number(self.folder / f"curr{self.number}_input") / 1e3
        step = self.step_amperes(shunt_step_uv) or 0.0
        where = f"{self.folder.name} channel {self.number} ({self.label or 'no label'})"
        if amperes < -2 * step:
            raise SensorError(f"{where}: current of {amperes:g} A: the shunt is reversed, or current flows back")
        if not 0 < volts <= 100 or amperes > 100:
            raise SensorError(f"{where}: {volts:g} V and {amperes:g} A can't be a supply of a board")
        return volts * amperes

    def step_amperes(self, shunt_step_uv: float) -> Optional[float]:
        """One step of the current in A, None where the shunt isn't known."""
        shunt_uohm = number_or_none(self.folder / f"shunt{self.number}_resistor")
        return shunt_step_uv / shunt_uohm if shunt_uohm and shunt_uohm > 0 else None

    def step_watts(self, shunt_step_uv: float) -> Optional[float]:
        """One step of the current, times the voltage now, in W."""
        step = self.step_amperes(shunt_step_uv)
        millivolts = number_or_none(self.folder / f"in{self.number}_input")
        return None if step is None or millivolts is None or millivolts <= 0 else step * millivolts / 1e3

    def rail(self, shunt_step_uv: float = 0.0) -> Rail:
        """This channel as a rail."""
        return Rail(self.label or f"channel {self.number}", lambda: self.watts(shunt_step_uv))


def chips(root: Path, *names: str) -> Tuple[Tuple[Path, str], ...]:
    """(folder, driver name) of every monitor whose driver has one of these names."""
    folders = (folder for folder in listing(root / FOLDER) if folder.name.startswith("hwmon"))
    named = ((folder, text_or_none(folder / "name")) for folder in folders)
    return tuple((folder, name) for folder, name in named if name is not None and name in names)


def channels(folder: Path, count: int = 3) -> Tuple[Channel, ...]:
    """Channels 1…count that are wired and switched on. Those above 3 of an INA3221 are shunt voltages, not rails."""
    found: List[Channel] = []
    for number in range(1, count + 1):
        label = text_or_none(folder / f"in{number}_label")
        if (label or "").upper() == "NC" or number_or_none(folder / f"in{number}_enable") == 0:
            continue
        if label is not None or (folder / f"in{number}_input").exists():
            found.append(Channel(folder, number, label))
    return tuple(found)


def interval_s(folder: Path, default: float) -> float:
    """Seconds between two conversions (``update_interval``, in ms), at least 1 ms."""
    milliseconds = number_or_none(folder / "update_interval")
    return default if milliseconds is None or not 0 <= milliseconds < 60_000 else max(milliseconds, 1.0) / 1e3


def root_sum_square(steps: List[Optional[float]]) -> Optional[float]:
    """Of independent steps; None when one is unknown."""
    known = [step for step in steps if step is not None]
    return math.sqrt(sum(step * step for step in known)) if known and len(known) == len(steps) else None
