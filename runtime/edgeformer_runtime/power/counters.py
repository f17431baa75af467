"""A meter made of energy counters: watts are differences, wraps are undone."""

from __future__ import annotations

import time
from typing import Callable, Dict, Mapping, Optional, Sequence, Tuple

from ..errors import SensorError
from .base import NotYetError
from .rails import Grade
from .sysfs import MAX_BOARD_W, positive_watts

_STALE_W = 500.0  # no package here draws more for minutes: what decides after how long a wrap may have been missed
Clock = Callable[[], float]
# A counter steps about once in a millisecond: 10 ms keep that jitter at some percent. No maker publishes an accuracy.
COUNTER_GRADE = Grade(None, None, 0.01)


class Counter:
    """One counter of microjoules that goes round at ``range_uj`` (None: not known, then it may not go back)."""

    def __init__(self, name: str, read_uj: Callable[[], float], range_uj: Optional[float], clock: Clock) -> None:
        self.name = name
        self.joules = 0.0  # since the first read
        self.lost: Optional[str] = None  # why ``joules`` isn't whole any more
        self._read_uj = read_uj
        self._range_uj = range_uj
        self._clock = clock
        self._last: Optional[Tuple[float, float]] = None  # s, µJ

    def update(self) -> float:
        """Read, and return the joules since the first read. Raises SensorError when a part of them is unknown."""
        value = self._read_uj()
        now = self._clock()
        last, self._last = self._last, (now, value)
        if value < 0 or (self._range_uj is not None and value > self._range_uj):
            self._last = last
            raise SensorError(f"{self.name}: counter reads {value:g} µJ, outside of 0 to {self._range_uj or 0:g}")
        if last is not None:
            self.joules += self._step_uj(last, (now, value)) / 1e6
        return self.joules

    def _step_uj(self, last: Tuple[float, float], new: Tuple[float, float]) -> float:
        step = new[1] - last[1]
        if self._range_uj is None:
            if step < 0:
                raise self._losing("went back, and where it wraps isn't known")
            return step
        if (new[0] - last[0]) * _STALE_W > self._range_uj / 1e6:
            raise self._losing(
                f"not read for {new[0] - last[0]:.0f} s: it may have wrapped more than once; read it at least every "
                f"{self._range_uj / 1e6 / _STALE_W:.0f} s"
            )
        return step if step >= 0 else step + self._range_uj

    def _losing(self, why: str) -> SensorError:
        self.lost = f"{self.name}: {why}"
        return SensorError(self.lost)


class CounterMeter:
    """Mean power between two reads of the sum of ``counters``; ``parts`` are counters inside that sum."""

    model: Optional[str] = None

    def __init__(
        self,
        family: str,
        scope: str,
        counters: Sequence[Counter],
        parts: Sequence[Counter] = (),
        grade: Grade = COUNTER_GRADE,
        clock: Clock = time.monotonic,
    ) -> None:
        self.family = family
        self.status = "measured"
        self.scope = scope
        self.rail: Optional[str] = "+".join(counter.name for counter in counters)
        self.resolution_w = grade.resolution_w
        self.accuracy_fraction = grade.accuracy_fraction
        self.min_interval_s = grade.min_interval_s
        self._counters = tuple(counters)
        self._parts = tuple(parts)
        self._clock = clock
        self._last: Optional[Tuple[float, float]] = None  # s, J
        self._last_parts: Dict[str, Tuple[float, float]] = {}
        self._part_watts: Dict[str, Optional[float]] = {counter.name: None for counter in parts}

    def read_watts(self) -> float:
        """Mean W since the previous call. Raises NotYetError on the first, SensorError when there is no value."""
        now = self._clock()
        last = self._last
        if last is not None and 0 <= now - last[0] < self.min_interval_s:
            raise NotYetError(
                f"{self.family}: read {now - last[0]:.4f} s ago, once in {self.min_interval_s:g} s will do"
            )
        self._last = None  # whatever goes wrong below, the next call opens a new interval
        joules = sum(counter.update() for counter in self._counters)
        self._last = (now, joules)
        self._update_parts(now)
        if last is None:
            raise NotYetError(f"{self.family}: first read of a counter; the next one gives the power since this one")
        if now < last[0]:
            raise SensorError(f"{self.family}: the clock went back by {last[0] - now:g} s")
        if joules == last[1]:
            raise SensorError(f"{self.family} {self.rail}: the counter stood still for {now - last[0]:.3f} s")
        watts = (joules - last[1]) / (now - last[0])
        return positive_watts(watts, f"{self.family} {self.rail}", MAX_BOARD_W * len(self._counters))

    def energy_j(self) -> Optional[float]:
        """J since the first read. Raises SensorError when a part of them was lost."""
        joules = sum(counter.update() for counter in self._counters)
        for counter in self._counters:
            if counter.lost is not None:
                raise SensorError(counter.lost)
        return joules

    def sub_rails(self) -> Mapping[str, Optional[float]]:
        """Mean W of the parts over the last interval of ``read_watts``."""
        return dict(self._part_watts)

    def close(self) -> None:
        """Nothing is held open."""

    def _update_parts(self, now: float) -> None:
        for counter in self._parts:
            last = self._last_parts.pop(counter.name, None)
            self._part_watts[counter.name] = None
            try:
                joules = counter.update()
            except SensorError:
                continue
            self._last_parts[counter.name] = (now, joules)
            if last is not None and now > last[0]:
                watts = (joules - last[1]) / (now - last[0])
                # a counter that stands still is one that the processor doesn't have, as often as an idle part
                self._part_watts[counter.name] = watts if 0 < watts <= MAX_BOARD_W else None
