"""x86: the energy counters of processor or platform (RAPL) under /sys/class/powercap. Intel, and AMD since Zen."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Sequence

from ..errors import SensorError
from .base import Found, Meter, Place, Surroundings
from .counters import COUNTER_GRADE, Clock, Counter, CounterMeter
from .sysfs import DeniedError, listing, number_or_none, read_number, shown, text_or_none

FAMILY = "rapl"
_FOLDER = "sys/class/powercap"
_ZONE = re.compile(r"(intel-rapl|intel-rapl-mmio)((?::\d+)+)\Z")
_DENIED = (
    "permission denied: since CVE-2020-8694 these counters are for root only. Run as root, or allow reading until the "
    "next start: sudo chmod a+r /sys/class/powercap/*/energy_uj (it lets every user watch the processor's load)"
)
_HIDDEN = "the zone is listed without its counter, as in containers, which hide it: measure outside, or mount {path}"


@dataclass(frozen=True)
class Zone:
    """One counter: ``package-0``; ``depth`` 1 is a package or the platform, 2 a part of a package."""

    folder: Path
    name: str
    interface: str
    depth: int

    def counter(self, clock: Clock) -> Counter:
        """A new counter of this zone."""
        path = self.folder / "energy_uj"
        return Counter(self.name, _reader(path), number_or_none(self.folder / "max_energy_range_uj"), clock)


def search(here: Surroundings, clock: Clock = time.monotonic) -> Found:
    """The platform where the machine has that counter, and the sum of the packages."""
    listed = _zones(here.root)
    pattern = f"/{_FOLDER}/*/energy_uj"
    if not listed:
        return Found(places=(Place(pattern, False, "no energy counter of the processor"),))
    zones = _without_repeats(listed)
    places = tuple(Place(shown(zone.folder, here.root), True, _note(zone, zone in zones)) for zone in listed)
    top = [zone for zone in zones if zone.depth == 1]
    refused: List[str] = []
    meters: List[Meter] = []
    packages = [zone for zone in top if zone.name.startswith("package")]
    cores = [zone for zone in zones if zone.depth == 2]
    readable = _readable(packages, here.root, refused)
    if readable:
        meters.append(_meter("cpu package", packages, cores if len(packages) == 1 else [], clock))
    platform = [zone for zone in top if zone.name == "psys"]
    if platform and _readable(platform, here.root, refused):
        meters.insert(0, PlatformMeter(platform, packages if readable else [], clock))
    if not meters and not refused:
        refused.append(f"neither a package nor the platform among {', '.join(zone.name for zone in listed)}")
    return Found(tuple(meters), places, tuple(refused))


class PlatformMeter(CounterMeter):
    """psys. Some makers wired it to nothing useful: it is refused where it counts less than the package inside it."""

    def __init__(self, platform: Sequence[Zone], packages: Sequence[Zone], clock: Clock) -> None:
        counters = [zone.counter(clock) for zone in platform]
        super().__init__(FAMILY, "platform", counters, [zone.counter(clock) for zone in packages], COUNTER_GRADE, clock)

    def read_watts(self) -> float:
        """Mean W since the previous call. Raises SensorError."""
        watts = super().read_watts()
        parts = [part for part in self.sub_rails().values() if part is not None]
        if sum(parts) > 1.1 * watts + 0.5:
            raise SensorError(
                f"rapl psys: {watts:.2f} W is less than the packages inside it with {sum(parts):.2f} W: this machine's "
                "psys counts something else"
            )
        return watts


def _meter(scope: str, zones: Sequence[Zone], parts: Sequence[Zone], clock: Clock) -> CounterMeter:
    counters = [zone.counter(clock) for zone in zones]
    return CounterMeter(FAMILY, scope, counters, [zone.counter(clock) for zone in parts], COUNTER_GRADE, clock)


def _zones(root: Path) -> List[Zone]:
    found: List[Zone] = []
    for folder in listing(root / _FOLDER):
        match = _ZONE.match(folder.name)
        if match is not None:
            name = text_or_none(folder / "name") or folder.name
            found.append(Zone(folder, name, match.group(1), match.group(2).count(":")))
    return found


def _without_repeats(zones: Sequence[Zone]) -> List[Zone]:
    # intel-rapl-mmio shows the same packages by another way
    direct = {zone.name for zone in zones if zone.interface == "intel-rapl"}
    return [zone for zone in zones if zone.interface == "intel-rapl" or zone.name not in direct]


def _note(zone: Zone, counted: bool) -> str:
    inside = " (a part of its package)" if zone.depth > 1 else ""
    return zone.name + inside if counted else f"{zone.name}, the same counter as intel-rapl's: not counted twice"


def _readable(zones: Sequence[Zone], root: Path, refused: List[str]) -> bool:
    names = [zone.name for zone in zones]
    if len(set(names)) != len(names):
        refused.append(f"two zones have one name in {', '.join(names)}: which one is it?")
        return False
    for zone in zones:
        path = zone.folder / "energy_uj"
        try:
            read_number(path)
        except DeniedError:
            refused.append(f"{shown(path, root)}: {_DENIED}")
            return False
        except SensorError as error:
            hidden = not path.exists()
            refused.append(f"{shown(path, root)}: " + _HIDDEN.format(path=f"/{_FOLDER}") if hidden else str(error))
            return False
    return bool(zones)


def _reader(path: Path) -> Callable[[], float]:
    return lambda: read_number(path)
