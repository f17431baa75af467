"""Throttling: did the device slow itself down, from heat, low voltage or too much current?

Two kinds of evidence. A *state* says that it is throttled now (``active``), so short events between two looks are
missed. A *count* only grows (``counts``), so that a look before and one after the run miss nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from ..errors import SensorError
from ..power.base import Surroundings
from ..power.sysfs import listing, number_or_none, text_or_none

# Bits of the Raspberry Pi's get_throttled: now, and (16 higher) since the device was started.
PI_BITS = {0: "under-voltage", 1: "Arm clock capped", 2: "throttled", 3: "soft temperature limit"}
_PI_FILES = ("soc/soc:firmware/get_throttled", "soc@*/soc@*:firmware/get_throttled", "*:firmware/get_throttled")
# Cooling devices that slow down something that computes. Fans are cooling devices as well, and mean no harm.
_SLOWING = re.compile(r"(?i).*throttle-alert|(thermal-)?(cpufreq|devfreq)-.*|cpu\d*-cluster.*")


@dataclass(frozen=True)
class ThrottleState:
    """What all sources say at one time. ``active``: in words; ``counts``: name to a number that never falls."""

    active: FrozenSet[str]
    counts: Mapping[str, int]


class Throttles:
    """The sources of this device. ``names`` says which they are; empty where there is none."""

    def __init__(self, here: Surroundings) -> None:
        self._here = here
        self._pi_file = next(
            (path for pattern in _PI_FILES for path in sorted((here.root / "sys/devices/platform").glob(pattern))), None
        )
        self._pi_tool = self._pi_file is None and _pi_tool(here) is not None
        self._x86 = sorted((here.root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
        self._over_current = sorted((here.root / "sys/class/hwmon").glob("hwmon*/oc*_event_cnt"))
        self._cooling = _cooling(here.root)

    @property
    def names(self) -> Tuple[str, ...]:
        """The sources, as a reader of the report knows them."""
        found = {
            "get_throttled": self._pi_file is not None or self._pi_tool,
            "thermal_throttle": bool(self._x86),
            "over-current events": bool(self._over_current),
            "cooling devices": bool(self._cooling),
        }
        return tuple(name for name, there in found.items() if there)

    def active(self) -> FrozenSet[str]:
        """What slows the device down now."""
        bits = self._pi_bits()
        found = {f"{text} (get_throttled)" for bit, text in PI_BITS.items() if bits is not None and bits >> bit & 1}
        for kind, path in self._cooling:
            state = number_or_none(path)
            if state is not None and state > 0:
                found.add(f"{kind} at {state:.0f}")
        return frozenset(found)

    def read(self) -> ThrottleState:
        """``active``, and the counts."""
        counts: Dict[str, int] = {}
        bits = self._pi_bits()
        if bits is not None:
            counts.update({f"{text} (get_throttled)": bits >> bit + 16 & 1 for bit, text in PI_BITS.items()})
        for path in (*self._x86, *self._over_current):
            count = number_or_none(path)
            if count is not None and count >= 0:
                name = path.name.replace("_event_cnt", " over-current event").replace("_", " ")
                counts[name] = counts.get(name, 0) + int(count)
        return ThrottleState(self.active(), counts)

    def _pi_bits(self) -> Optional[int]:
        if self._pi_file is not None:
            return _hexadecimal(text_or_none(self._pi_file))
        return _pi_tool(self._here) if self._pi_tool else None


def _cooling(root: Path) -> List[Tuple[str, Path]]:
    found = []
    for device in listing(root / "sys/class/thermal"):
        kind = text_or_none(device / "type") if device.name.startswith("cooling_device") else None
        if kind is not None and _SLOWING.fullmatch(kind):
            found.append((kind, device / "cur_state"))
    return found


def _pi_tool(here: Surroundings) -> Optional[int]:
    try:
        text = here.run(["vcgencmd", "get_throttled"]).strip()
    except SensorError:
        return None
    return _hexadecimal(text[len("throttled=") :]) if text.startswith("throttled=") else None


def _hexadecimal(text: Optional[str]) -> Optional[int]:
    """``0x50005``, or ``50005`` as sysfs has it; None for anything else."""
    return int(text, 16) if text is not None and re.fullmatch(r"(0x)?[0-9a-fA-F]{1,8}", text) else None


def events(before: ThrottleState, during: Sequence[FrozenSet[str]], after: ThrottleState) -> Tuple[str, ...]:
    """What slowed the device down between ``before`` and ``after``, in words.

    What a Raspberry Pi remembers from earlier, and what had been counted before, is no event of this run.
    """
    found = set(before.active) | set(after.active)
    for active in during:
        found |= active
    told = {text: text for text in found}
    for name, count in after.counts.items():
        more = count - before.counts.get(name, 0)
        if more > 0 and name not in told:
            told[name] = name if name.endswith("(get_throttled)") else f"{name} +{more}"
    return tuple(sorted(told.values()))


def history(before: ThrottleState) -> Tuple[str, ...]:
    """What a Raspberry Pi remembers from before the run: it happened since the start, perhaps long ago."""
    remembered = (name for name, count in before.counts.items() if name.endswith("(get_throttled)") and count)
    return tuple(sorted(name.replace(" (get_throttled)", "") for name in remembered))
