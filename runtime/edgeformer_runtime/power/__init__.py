"""Power: which families of sensors exist, and what this device has. A new family is one file and one line here."""

from __future__ import annotations

import os
import time
from importlib import import_module
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, cast

from ..errors import SensorError
from .base import Family, Found, Meter, NotYetError, Place, PowerReading, Run, Surroundings

# Imported when asked. The order counts between meters of the same rank only.
FAMILIES: Dict[str, str] = {
    "external": ".external",
    "jetson_ina3221": ".jetson_ina3221",
    "jetson_ina3221_iio": ".jetson_ina3221_iio",
    "jetson_ina238": ".jetson_ina238",
    "raspberry_pi5": ".raspberry_pi5",
    "ina2xx": ".ina2xx",
    "ina2xx_i2c": ".ina2xx_i2c",
    "rapl": ".rapl",
    "battery": ".battery",
    "android_odpm": ".android_odpm",
    "raspberry_pi4": ".raspberry_pi4",
    "none": ".none",
}

# A total before a part: the wider what the watts cover, the more of what an inference costs is in them.
_SCOPES = ("external meter", "board input", "module + carrier", "module", "platform", "battery", "rails", "cpu package")

__all__ = [
    "FAMILIES",
    "Family",
    "Found",
    "Meter",
    "NotYetError",
    "Place",
    "PowerReading",
    "Surroundings",
    "find",
    "get_family",
    "read",
    "reading",
]


def get_family(name: str) -> Family:
    """The family called ``name``; raises SensorError naming those that exist."""
    if name not in FAMILIES:
        raise SensorError(f"power sensor family {name!r} is unknown: expected one of {', '.join(FAMILIES)}")
    return cast(Family, import_module(FAMILIES[name], __name__))


def find(root: Path = Path("/"), environ: Optional[Mapping[str, str]] = None, run: Optional[Run] = None) -> Found:
    """Look for every family of sensors. Never raises: what went wrong is in ``refused``.

    Close the result (``Found.close``). With another ``root`` than / no command is run unless ``run`` is given:
    commands would speak of this machine and not of that tree.
    """
    from .command import no_commands, run_command

    default = run_command if Path(root) == Path("/") else no_commands
    here = Surroundings(Path(root), os.environ if environ is None else environ, run or default)
    meters: List[Meter] = []
    places: List[Place] = []
    refused: List[str] = []
    for name in FAMILIES:
        try:
            found = get_family(name).search(here)
        except Exception as error:  # one broken driver must not hide the other sensors, nor stop a benchmark
            refused.append(f"{name}: the search failed: {type(error).__name__}: {error}")
            continue
        meters += found.meters
        places += found.places
        refused += [f"{name}: {reason}" for reason in found.refused]
    return Found(tuple(sorted(meters, key=_rank)), tuple(places), tuple(refused))


def read(root: Path = Path("/")) -> PowerReading:
    """One reading of the best meter that answers, else "unavailable" with the reasons."""
    found = find(root)
    try:
        return reading(found)
    finally:
        found.close()


def reading(found: Found, sleep: Callable[[float], None] = time.sleep) -> PowerReading:
    """One reading of the first meter of ``found`` that answers. Never raises."""
    from .none import unavailable

    silent: List[str] = []
    for meter in found.meters:
        try:
            watts = read_once(meter, sleep)
        except SensorError as error:
            silent.append(f"{meter.family}: {error}")
            continue
        return PowerReading(
            meter.status, meter.family, watts, meter.scope, meter.rail, meter.model, looked_at=found.places
        )
    return unavailable(found, silent)


def read_once(meter: Meter, sleep: Callable[[float], None] = time.sleep) -> float:
    """Watts now; of a counter over one interval. Raises SensorError."""
    try:
        return meter.read_watts()
    except NotYetError:
        sleep(max(meter.min_interval_s, 0.1))
        return meter.read_watts()


def _rank(meter: Meter) -> int:
    scope = _SCOPES.index(meter.scope) if meter.scope in _SCOPES else len(_SCOPES)
    return scope + (0 if meter.status == "measured" else 100)
