"""The temperature of the processor, from thermal zones, hwmon, or the Raspberry Pi's own tool."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from ..errors import SensorError
from ..power.base import Surroundings
from ..power.sysfs import listing, number_or_none, text_or_none

# Linux gives -256 °C for a sensor that is switched off, and some drivers 0xffff or a constant beyond any chip.
LOWEST_C, HIGHEST_C = -40.0, 130.0

# Names of what measures the processor, best first. "tj" is the hottest junction of a Jetson's module.
_WANTED = (
    r"x86_pkg_temp|Package id \d+|Tctl|Tdie",
    r"tj(-thermal)?",
    r".*cpu.*|bcm2835_thermal|soc[-_]thermal|soc|apss.*",
)
# Not the processor: fixed figures, batteries, radios, drives, and estimates that steer a fan.
_UNWANTED = r"(?i).*(pmic|acpitz|batt|wifi|wlan|nvme|drivetemp|fan|ambient|skin|charger|modem|pch|quiet|usb).*"


@dataclass(frozen=True)
class Thermometer:
    """Sensors that are read together: the temperature is that of the hottest. Raises nothing."""

    name: str
    sensors: Tuple[Callable[[], Optional[float]], ...]

    def read_c(self) -> Optional[float]:
        """Degrees Celsius now; None where no sensor answers with a temperature that a chip can have."""
        found = [value for value in (sensor() for sensor in self.sensors) if value is not None]
        return max(found) if found else None


def find_thermometer(here: Surroundings) -> Tuple[Optional[Thermometer], Optional[str]]:
    """The processor's thermometer, or None with the reason."""
    found = [(name, path) for name, path in (*_zones(here.root), *_hwmon(here.root)) if _celsius(path) is not None]
    for pattern in _WANTED:
        group = [(name, path) for name, path in found if re.fullmatch(pattern, name, re.IGNORECASE)]
        if group:
            return _thermometer(group), None
    from_tool = _vcgencmd(here)
    if from_tool is not None:
        return from_tool, None
    rest = [(name, path) for name, path in found if not re.fullmatch(_UNWANTED, name)]
    if rest:
        return _thermometer(rest), None
    looked = "thermal_zone*, hwmon*/temp*_input, vcgencmd measure_temp"
    others = f"; not the processor's: {', '.join(sorted({name for name, _ in found}))}" if found else ""
    return None, f"no thermometer of the processor among {looked}{others}"


def _thermometer(group: List[Tuple[str, Path]]) -> Thermometer:
    names = sorted({name for name, _ in group})
    label = names[0] if len(group) == 1 else f"hottest of {len(group)}: {', '.join(names)}"
    return Thermometer(label, tuple(_reader(path) for _, path in group))


def _reader(path: Path) -> Callable[[], Optional[float]]:
    return lambda: _celsius(path)


def _zones(root: Path) -> List[Tuple[str, Path]]:
    zones = [path for path in listing(root / "sys/class/thermal") if path.name.startswith("thermal_zone")]
    return [(text_or_none(zone / "type") or zone.name, zone / "temp") for zone in zones]


def _hwmon(root: Path) -> List[Tuple[str, Path]]:
    found = []
    for path in sorted((root / "sys/class/hwmon").glob("hwmon*/temp*_input")):
        chip = text_or_none(path.parent / "name") or "hwmon"
        label = text_or_none(path.with_name(path.name.replace("_input", "_label")))
        if re.fullmatch(_UNWANTED, chip) is None:
            found.append((label or chip, path))
    return found


def _celsius(path: Path) -> Optional[float]:
    millidegrees = number_or_none(path)
    return None if millidegrees is None else plausible_c(millidegrees / 1000)


def plausible_c(celsius: float) -> Optional[float]:
    """``celsius``, or None for what no chip in use can have (NaN, -256, 2 billion)."""
    return celsius if LOWEST_C < celsius < HIGHEST_C else None


def _vcgencmd(here: Surroundings) -> Optional[Thermometer]:
    def read() -> Optional[float]:
        try:
            text = here.run(["vcgencmd", "measure_temp"])
        except SensorError:
            return None
        match = re.fullmatch(r"temp=(-?\d{1,4}(?:\.\d{1,3})?)'C", text.strip())  # an error comes with exit status 0
        return plausible_c(float(match.group(1))) if match else None

    return Thermometer("vcgencmd measure_temp", (read,)) if read() is not None else None
