"""Android: the on-device power monitor of Pixel phones (``energy_value``), energy by rail in µWs. For root only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Mapping, Optional, Tuple

from ..errors import SensorError
from .base import Found, NotYetError, Place, Surroundings
from .sysfs import listing, positive_watts, read_text, shown

FAMILY = "android_odpm"
_FOLDER = "sys/bus/iio/devices"
_LINE = re.compile(r"CH(\d+)\(T=(\d{1,18})\)\[(\w+)\],\s*(\d{1,18})\Z", re.ASCII)
_LDO = re.compile(r"L\d+[A-Z]_")
_MAX_W = 60.0

Reading = Dict[str, Tuple[float, float]]  # rail -> (ms since boot, µWs)


def parse(text: str, where: str) -> Reading:
    """Rails of one ``energy_value``. Raises SensorError when a line isn't understood or a rail comes twice."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or not re.match(r"t=\d+\Z", lines[0]):
        raise SensorError(f"{where}: expected t=<ms> and a line a rail, got {text[:40]!r}")
    found: Reading = {}
    for line in lines[1:]:
        match = _LINE.match(line)
        if match is None:
            raise SensorError(f"{where}: line {line[:60]!r} isn't understood")
        if match.group(3) in found:
            raise SensorError(f"{where}: rail {match.group(3)} comes twice")
        found[match.group(3)] = (float(match.group(2)), float(match.group(4)))
    if not found:
        raise SensorError(f"{where}: no rail")
    return found


class OdpmMeter:
    """Mean power since the previous call of all rails that hang on the battery, by the monitor's own clock."""

    family = FAMILY
    status = "measured"
    scope = "rails"
    model: Optional[str] = None
    resolution_w: Optional[float] = None
    accuracy_fraction: Optional[float] = None
    min_interval_s = 0.25  # the driver reads the chip anew only when its values are older than some 100 ms

    def __init__(self, files: Tuple[Path, ...], rails: Tuple[str, ...]) -> None:
        self._files = files
        self._rails = rails
        self.rail: Optional[str] = "+".join(rails)
        self._last: Optional[Reading] = None
        self._first: Optional[Reading] = None
        self._watts: Dict[str, Optional[float]] = {}

    def read_watts(self) -> float:
        """W. Raises NotYetError on the first call or before new values, SensorError when a rail is missing."""
        last, self._last, self._watts = self._last, None, {}
        new = self._read()
        if last is None:
            self._last = new
            raise NotYetError(f"{FAMILY}: first read of the counters; the next one gives the power since this one")
        if any(new[name][0] == last[name][0] for name in self._rails):
            self._last = last
            raise NotYetError(f"{FAMILY}: the monitor has no newer values yet")
        self._last = new
        rails = {name: _mean_watts(name, last[name], new[name]) for name in new if name in last}
        self._watts.update(rails)
        return positive_watts(sum(rails[name] for name in self._rails), FAMILY, _MAX_W)

    def energy_j(self) -> Optional[float]:
        """J since the first read. Raises SensorError when a counter started anew."""
        new = self._read()
        if self._first is None:
            self._first = new
        for name in self._rails:
            if new[name][1] < self._first[name][1]:
                raise SensorError(f"{FAMILY}: the counter of {name} went back")
        return sum(new[name][1] - self._first[name][1] for name in self._rails) / 1e6

    def sub_rails(self) -> Mapping[str, Optional[float]]:
        """Mean W of every rail over the last interval of ``read_watts``."""
        return dict(self._watts)

    def close(self) -> None:
        """Nothing is held open."""

    def _read(self) -> Reading:
        found = read_all(self._files)
        missing = [name for name in self._rails if name not in found]
        if missing:
            raise SensorError(f"{FAMILY}: rails {', '.join(missing)} are gone: were other rails enabled meanwhile?")
        return found


def read_all(files: Tuple[Path, ...]) -> Reading:
    """All rails of all monitors. Raises SensorError."""
    found: Reading = {}
    for path in files:
        for name, value in parse(read_text(path), str(path)).items():
            if name in found:
                raise SensorError(f"{path}: rail {name} is in another monitor, too")
            found[name] = value
    return found


def search(here: Surroundings) -> Found:
    """One meter for the rails that are enabled. Regulators behind another regulator (L…) are shown and not added."""
    files = tuple(
        path for folder in listing(here.root / _FOLDER) for path in listing(folder) if path.name == "energy_value"
    )
    if not files:
        return Found(places=(Place(f"/{_FOLDER}/*/energy_value", False, "no on-device power monitor"),))
    places = tuple(Place(shown(path, here.root), True, "energy by rail") for path in files)
    try:
        rails = read_all(files)
    except SensorError as error:
        return Found(places=places, refused=(f"{error}; on most phones it is for root only",))
    names = tuple(sorted(name for name in rails if not _LDO.match(name)))
    if not names:
        return Found(places=places, refused=(f"only rails behind other rails are enabled: {', '.join(sorted(rails))}",))
    return Found((OdpmMeter(files, names),), places)


def _mean_watts(name: str, last: Tuple[float, float], new: Tuple[float, float]) -> float:
    milliseconds, energy = new[0] - last[0], new[1] - last[1]
    if milliseconds <= 0 or energy < 0:
        raise SensorError(f"{FAMILY}: {name} went back, by {-milliseconds:g} ms or {-energy:g} µWs: it started anew")
    return energy / milliseconds / 1e3
