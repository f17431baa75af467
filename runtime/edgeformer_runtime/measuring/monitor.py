"""Watching a device while it runs: temperature, clock, governor, throttling, and what other programs take."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import FrozenSet, Optional

from ..errors import SensorError
from ..power.base import Surroundings
from ..power.sysfs import number_or_none, read_text, text_or_none
from .thermal import find_thermometer
from .throttling import Throttles

_MAX_STAT_BYTES = 1 << 20  # it has a line a core, and the interrupts
_MAX_POLICIES = 32  # of cpufreq: reading more costs more than it tells


@dataclass(frozen=True)
class Snapshot:
    """The device at one time; None is what couldn't be read. ``clock_mhz`` is that of the fastest core."""

    temperature_c: Optional[float]
    clock_mhz: Optional[float]
    throttles: FrozenSet[str] = frozenset()


class Monitor:
    """Finds this device's sources once, and reads them as often as asked. Never raises."""

    def __init__(self, here: Surroundings) -> None:
        self._root = here.root
        self.thermometer, self.no_temperature = find_thermometer(here)
        self.throttles = Throttles(here)
        policies = sorted((here.root / "sys/devices/system/cpu/cpufreq").glob("policy*/scaling_cur_freq"))
        self._clocks = policies[:_MAX_POLICIES]

    def snapshot(self) -> Snapshot:
        """What can be read now."""
        temperature = self.thermometer.read_c() if self.thermometer is not None else None
        return Snapshot(temperature, self.clock_mhz(), self.throttles.active())

    def clock_mhz(self) -> Optional[float]:
        """Of the fastest core, as the kernel asked for it; the kernel's unit is kHz."""
        found = [value for value in map(number_or_none, self._clocks) if value is not None and value > 0]
        return max(found) / 1000 if found else None

    def governor(self) -> Optional[str]:
        """What decides about the clock: "ondemand", "performance" …; several where clusters differ."""
        found = {text_or_none(path.with_name("scaling_governor")) for path in self._clocks}
        return ", ".join(sorted(name for name in found if name is not None)) or None

    def cpu_seconds(self) -> Optional[CpuSeconds]:
        """See ``CpuSeconds``; None where the system doesn't count."""
        return _cpu_seconds(self._root)

    def load_average(self) -> Optional[float]:
        """Programs that ran or waited to run, over the last minute."""
        text = text_or_none(self._root / "proc/loadavg") or ""
        match = re.match(r"\d+\.\d+", text)
        return float(match.group()) if match else None


@dataclass(frozen=True)
class CpuSeconds:
    """Seconds of processor time since the start: of all programs, of this one with its children, and those that a
    hypervisor gave to others. Steps of 0.01 s."""

    at_s: float
    busy_s: float
    own_s: float
    stolen_s: float


def _cpu_seconds(root: Path) -> Optional[CpuSeconds]:
    try:
        text = read_text(root / "proc/stat", limit=_MAX_STAT_BYTES)
    except SensorError:
        return None
    match = re.match(r"cpu\s+(\d+(?: \d+){7,9})\n", text + "\n")
    if match is None or not hasattr(os, "sysconf"):
        return None
    # user nice system idle iowait irq softirq steal: guests' time is counted in user already
    ticks = [int(value) for value in match.group(1).split()]
    per_s = os.sysconf("SC_CLK_TCK")
    own = os.times()
    return CpuSeconds(
        time.perf_counter(),
        (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) / per_s,
        own.user + own.system + own.children_user + own.children_system,
        ticks[7] / per_s,
    )


def other_cores(before: Optional[CpuSeconds], after: Optional[CpuSeconds]) -> Optional[float]:
    """Cores that other programs, or the hypervisor, kept busy between two looks; None below one second.

    The counts have steps of 0.01 s a core, so that a small negative figure is none.
    """
    if before is None or after is None or after.at_s - before.at_s < 1.0:
        return None
    others = (after.busy_s - before.busy_s) - (after.own_s - before.own_s) + (after.stolen_s - before.stolen_s)
    return max(0.0, others) / (after.at_s - before.at_s)
