"""The battery's gauge under /sys/class/power_supply: what the whole device takes, while nothing else feeds it.

Laptops (ACPI) follow the kernel's units: µW, µA, µV, discharge as a positive number. Phones and hats differ in sign and
unit by maker, and no value tells which: there EDGEFORMER_BATTERY has to say it, for example
``supply=battery,current=uA,voltage=uV,discharging=negative``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Sequence

from ..errors import SensorError
from .base import Found, Place, Surroundings
from .rails import Grade, Rail, RailMeter
from .sysfs import listing, number_or_none, read_number, read_text, shown, text_or_none

FAMILY = "battery"
VARIABLE = "EDGEFORMER_BATTERY"
_FOLDER = "sys/class/power_supply"
_ACPI = re.compile(r"(BAT|CMB)\w{0,4}\Z")
_UNITS = {"uA": 1e-6, "mA": 1e-3, "A": 1.0, "uV": 1e-6, "mV": 1e-3, "V": 1.0}
_MAX_W = 300.0
_EXAMPLE = "supply=battery,current=uA,voltage=uV,discharging=negative"


@dataclass(frozen=True)
class Gauge:
    """How one battery is read: factors to A and V, and the sign that its current has when it discharges."""

    folder: Path
    ampere: float = 1e-6
    volt: float = 1e-6
    sign: int = 1
    power: bool = True  # power_now may be used: µW, as the kernel has it

    def watts(self) -> float:
        """W drawn from the battery. Raises SensorError unless it discharges, alone, and says how much."""
        _refuse_mains(self.folder.parent)
        status = read_text(self.folder / "status")
        if status != "Discharging":
            raise SensorError(
                f"{self.folder.name}: {status or 'no status'}: on mains the battery's power isn't the device's"
            )
        if self.power and (self.folder / "power_now").exists():
            watts = read_number(self.folder / "power_now") / 1e6
        else:
            volts = read_number(self.folder / "voltage_now") * self.volt
            if not 0 < volts < 100:
                raise SensorError(f"{self.folder.name}: {volts:g} V can't be a battery")
            watts = self.sign * read_number(self.folder / "current_now") * self.ampere * volts
        if watts < 0:
            raise SensorError(
                f"{self.folder.name}: the sign says charging while the status says discharging. If this battery "
                f"counts the other way, say so, for example {VARIABLE}={_EXAMPLE.replace('battery', self.folder.name)}"
            )
        if not 0 < watts <= _MAX_W:
            raise SensorError(f"{self.folder.name}: the gauge reads {watts:g} W while discharging, which can't be")
        return watts


class BatteryMeter(RailMeter):
    """The sum of all batteries that discharge."""

    def __init__(self, gauges: Sequence[Gauge]) -> None:
        rails = [Rail(gauge.folder.name, gauge.watts) for gauge in gauges]
        super().__init__(FAMILY, "battery", rails, grade=Grade(None, None, 1.0))
        self._gauges = tuple(gauges)

    def read_watts(self) -> float:
        """W now. A second battery that rests adds nothing; one that charges makes the sum meaningless."""
        status = {gauge.folder.name: text_or_none(gauge.folder / "status") for gauge in self._gauges}
        charging = [name for name, text in status.items() if text == "Charging"]
        if charging and len(status) > 1:
            raise SensorError(f"battery: {', '.join(charging)} is being charged while another one is looked at")
        active = [gauge for gauge in self._gauges if status[gauge.folder.name] == "Discharging"]
        return sum(gauge.watts() for gauge in active or self._gauges)


def stated(text: str) -> Dict[str, str]:
    """EDGEFORMER_BATTERY as a dictionary. Raises SensorError that shows a right one."""
    pairs = [part.partition("=") for part in text.split(",")]
    found = {key.strip(): value.strip() for key, _, value in pairs}
    allowed = {
        "current": ("uA", "mA", "A"),
        "voltage": ("uV", "mV", "V"),
        "discharging": ("positive", "negative"),
    }
    if set(found) != {"supply", *allowed} or any(found[key] not in values for key, values in allowed.items()):
        raise SensorError(f"{VARIABLE}={text!r}: expected all four of it as in {_EXAMPLE}")
    if not re.match(r"[\w.-]+\Z", found["supply"]) or found["supply"] in (".", ".."):
        raise SensorError(f"{VARIABLE}: {found['supply']!r} isn't the name of a folder in /{_FOLDER}")
    return found


def search(here: Surroundings) -> Found:
    """One meter for the batteries that feed this device."""
    said = here.environ.get(VARIABLE, "").strip()
    batteries = [folder for folder in listing(here.root / _FOLDER) if _feeds_device(folder)]
    if not batteries and not said:
        return Found(places=(Place(f"/{_FOLDER}/*/{{power_now,current_now}}", False, "no battery"),))
    places = tuple(Place(shown(folder, here.root), True, "a battery's gauge") for folder in batteries)
    refused: List[str] = []
    try:
        gauges = [_stated_gauge(here, stated(said))] if said else []
    except SensorError as error:
        return Found(places=places, refused=(str(error),))
    for folder in [] if said else batteries:
        if _ACPI.match(folder.name):
            gauges.append(Gauge(folder))
        else:
            refused.append(
                f"{shown(folder, here.root)}: makers differ in sign and unit here, and no value tells which. Where you "
                f"know them, set {VARIABLE}={_EXAMPLE}"
            )
    if not gauges:
        return Found(places=places, refused=tuple(refused))
    meter = BatteryMeter(gauges)
    try:
        meter.read_watts()
    except SensorError as error:
        return Found(places=places, refused=(*refused, str(error)))
    return Found((meter,), places, tuple(refused))


def _stated_gauge(here: Surroundings, said: Mapping[str, str]) -> Gauge:
    folder = here.root / _FOLDER / said["supply"]
    if not folder.is_dir():
        raise SensorError(f"{VARIABLE}: {shown(folder, here.root)} doesn't exist")
    sign = -1 if said["discharging"] == "negative" else 1
    return Gauge(folder, _UNITS[said["current"]], _UNITS[said["voltage"]], sign, power=False)


def _feeds_device(folder: Path) -> bool:
    # "Device" is the battery of a mouse or a headset
    kind, scope = text_or_none(folder / "type"), text_or_none(folder / "scope")
    has_gauge = (folder / "power_now").exists() or (folder / "current_now").exists()
    return has_gauge and kind in (None, "Battery", "BMS", "Unknown") and scope != "Device"


def _refuse_mains(supplies: Path) -> None:
    # Plugged in, a laptop may discharge its battery a little and still live on the mains.
    for folder in listing(supplies):
        kind = text_or_none(folder / "type") or ""
        if (kind == "Mains" or kind.startswith("USB")) and (number_or_none(folder / "online") or 0) > 0:
            raise SensorError(
                f"{folder.name} is plugged in: the battery's power isn't the device's; unplug it to measure"
            )
