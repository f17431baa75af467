"""Raspberry Pi 4: it has no sensor. A published linear model of the processor's load, always called an estimate."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, Optional, Tuple

from ..errors import SensorError
from .base import Found, NotYetError, Place, Surroundings
from .boards import board_model
from .counters import Clock
from .sysfs import read_text

FAMILY = "raspberry_pi4"
MODEL = "2.286 + 4.534 × processor utilisation W, ±25-30 %: it sees neither clock, graphics, USB nor network"
# /proc/stat counts hundredths of a second: half a second on four cores resolves half a percent of load
_INTERVAL_S = 0.5


class LoadModelMeter:
    """Mean estimated power since the previous call."""

    family = FAMILY
    status = "estimated"
    scope = "board input"
    rail: Optional[str] = None
    model: Optional[str] = MODEL
    resolution_w: Optional[float] = None
    accuracy_fraction: Optional[float] = 0.30
    min_interval_s = _INTERVAL_S

    def __init__(self, stat: Path, clock: Clock = time.monotonic) -> None:
        self._stat = stat
        self._clock = clock
        self._last: Optional[Tuple[float, Tuple[float, float]]] = None

    def read_watts(self) -> float:
        """W by the model. Raises NotYetError on the first call, SensorError when /proc/stat can't be used."""
        now = self._clock()
        last = self._last
        if last is not None and 0 <= now - last[0] < self.min_interval_s:
            raise NotYetError(f"{FAMILY}: utilisation needs {self.min_interval_s:g} s between two reads")
        self._last = None
        busy, total = _ticks(read_text(self._stat))
        self._last = (now, (busy, total))
        if last is None:
            raise NotYetError(f"{FAMILY}: the first look at {self._stat}; the next one gives the load since this one")
        busy_step, step = busy - last[1][0], total - last[1][1]
        if step <= 0 or not 0 <= busy_step <= step:
            raise SensorError(f"{self._stat}: {busy_step:g} busy of {step:g} ticks since the last look can't be")
        return 2.286 + 4.534 * busy_step / step

    def energy_j(self) -> Optional[float]:
        """None: a model has no counter."""
        return None

    def sub_rails(self) -> Dict[str, Optional[float]]:
        """None are modelled."""
        return {}

    def close(self) -> None:
        """Nothing is held open."""


def _ticks(text: str) -> Tuple[float, float]:
    """(busy, all) of the line of all cores: user nice system idle iowait irq softirq steal; guest is inside user."""
    fields = text.split("\n", 1)[0].split()
    if len(fields) < 8 or fields[0] != "cpu" or not all(field.isdigit() and len(field) < 19 for field in fields[1:9]):
        raise SensorError(f"/proc/stat: expected the counts of all cores, got {' '.join(fields)[:60]!r}")
    ticks = [float(field) for field in fields[1:9]]
    total = sum(ticks)
    return total - ticks[3] - ticks[4], total


def search(here: Surroundings) -> Found:
    """The model, on a Raspberry Pi 4 only."""
    board = board_model(here.root) or ""
    if not board.startswith("Raspberry Pi 4 "):
        return Found()
    stat = here.root / "proc/stat"
    place = Place("/proc/stat", stat.exists(), f"load of the processor, for a model of {board}")
    return Found((LoadModelMeter(stat),), (place,))
