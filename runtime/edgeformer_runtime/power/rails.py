"""A meter made of rails that are read one by one and added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, Optional, Sequence, Tuple

from ..errors import SensorError
from .sysfs import MAX_BOARD_W, positive_watts

_CHECK_EVERY = 16  # reads of the total between two looks at its parts: each look costs a bus transfer a part


@dataclass(frozen=True)
class Rail:
    """One measured supply. ``watts`` reads it now and raises SensorError."""

    name: str
    watts: Callable[[], float]


@dataclass(frozen=True)
class Grade:
    """How good a source is: one step in W, gain error as a fraction, seconds between two new values."""

    resolution_w: Optional[float]
    accuracy_fraction: Optional[float]
    min_interval_s: float


class RailMeter:
    """The sum of ``total``. ``parts`` are rails inside the total that are shown and not added."""

    model: Optional[str] = None

    def __init__(
        self,
        family: str,
        scope: str,
        total: Sequence[Rail],
        parts: Sequence[Rail] = (),
        grade: Grade = Grade(None, None, 0.1),
        parts_inside: bool = True,
        limit_w: float = MAX_BOARD_W,
    ) -> None:
        self.family = family
        self.status = "measured"
        self.scope = scope
        self.rail: Optional[str] = "+".join(rail.name for rail in total)
        self.resolution_w = grade.resolution_w
        self.accuracy_fraction = grade.accuracy_fraction
        self.min_interval_s = grade.min_interval_s
        self._total = tuple(total)
        self._parts = tuple(parts)
        self._inside = parts_inside and len(self._total) == 1
        self._limit_w = limit_w
        self._reads = 0

    def read_watts(self) -> float:
        """The sum now in W. Raises SensorError when any rail of it can't be read: a partial sum is no total."""
        watts = sum(rail.watts() for rail in self._total)
        positive_watts(watts, f"{self.family} {self.rail}", self._limit_w)
        if self._inside and self._reads % _CHECK_EVERY == 0:
            self._refuse_swapped(watts)
        self._reads += 1
        return watts

    def energy_j(self) -> Optional[float]:
        """None: these sensors give power."""
        return None

    def sub_rails(self) -> Dict[str, Optional[float]]:
        """Watts of every rail, None where one can't be read."""
        rails: Tuple[Rail, ...] = (*(self._total if len(self._total) > 1 else ()), *self._parts)
        return {rail.name: _watts_or_none(rail) for rail in rails}

    def close(self) -> None:
        """Nothing is held open."""

    def _refuse_swapped(self, total: float) -> None:
        # Read one after the other, a part may exceed the total for a moment; more than a fifth and half a watt is no
        # moment but a wrong label, as seen on Jetson Nano boards.
        for rail in self._parts:
            watts = _watts_or_none(rail)
            if watts is not None and watts > 1.2 * total + 0.5:
                raise SensorError(
                    f"{self.family}: {rail.name} reads {watts:.3f} W, more than {self.rail} with {total:.3f} W, which "
                    "contains it: the labels of the rails are wrong"
                )


def _watts_or_none(rail: Rail) -> Optional[float]:
    try:
        watts = rail.watts()
    except SensorError:
        return None
    return watts if abs(watts) <= MAX_BOARD_W else None
