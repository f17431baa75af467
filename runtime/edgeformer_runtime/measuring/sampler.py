"""Sampling beside a measurement: power, temperature, clock, throttling, on the clock that latencies are taken from."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from typing import Callable, Iterator, List, Optional, Protocol, Tuple

from ..errors import SensorError
from ..power.base import Meter, NotYetError
from .monitor import Snapshot

LEAST_INTERVAL_S = 0.05
MAX_SHARE = 0.1  # of the time between two readings that a reading may take
WATCH_INTERVAL_S = 1.0
MAX_FAILURES = 20  # in a row: the meter is given up
STOP_TIMEOUT_S = 5.0


class Recorder:
    """What was sampled. ``tick`` takes what is due; a thread, or a test's clock, calls it.

    ``power`` holds (time in s, watts), or (time in s, joules) where the meter counts energy (``counts``).
    ``failures`` holds (time in s, reason) of readings that failed.
    """

    def __init__(
        self,
        meter: Optional[Meter],
        watch: Callable[[], Snapshot],
        interval_s: float = LEAST_INTERVAL_S,
        counts: bool = False,
        watch_interval_s: float = WATCH_INTERVAL_S,
    ) -> None:
        self.meter = meter
        self.interval_s = interval_s
        self.counts = counts
        self.power: List[Tuple[float, float]] = []
        self.failures: List[Tuple[float, str]] = []
        self.snapshots: List[Tuple[float, Snapshot]] = []
        self.given_up: Optional[str] = None  # why the meter isn't asked any more
        self.paused = False
        self._watch = watch
        self._watch_interval_s = watch_interval_s
        self._next_power = -math.inf
        self._next_watch = -math.inf
        self._failed_in_a_row = 0

    @classmethod
    def of(cls, meter: Optional[Meter], watch: Callable[[], Snapshot], clock: Callable[[], float]) -> Recorder:
        """A recorder that asks ``meter`` as often as it has news, but is busy with it for a tenth of the time at most.

        Reads the meter twice to find out. A meter that fails then is kept, and given up when it goes on failing.
        """
        if meter is None:
            return cls(None, watch)
        counts, cost = False, 0.0
        for _ in range(2):
            start = clock()
            with contextlib.suppress(
                Exception
            ):  # any error of a user's meter; the recording finds it again and says it
                counts = meter.energy_j() is not None
                if not counts:
                    meter.read_watts()
            cost = max(0.0, clock() - start)
        return cls(meter, watch, max(LEAST_INTERVAL_S, meter.min_interval_s, cost / MAX_SHARE), counts)

    def due_in(self, now: float) -> float:
        """Seconds until the next sample is due, 0 when it is."""
        due = self._next_watch
        if self.meter is not None and self.given_up is None:
            due = min(due, self._next_power)
        return max(0.0, due - now)

    def tick(self, clock: Callable[[], float]) -> None:
        """Take the samples that are due."""
        if self.paused:
            return
        now = clock()
        if self.meter is not None and self.given_up is None and now >= self._next_power:
            self._read(self.meter, clock)
            self._next_power = self._following(self._next_power, self.interval_s, now)
        if now >= self._next_watch:
            self.snapshots.append((now, self._watch()))
            self._next_watch = self._following(self._next_watch, self._watch_interval_s, now)

    def _read(self, meter: Meter, clock: Callable[[], float]) -> None:
        before = clock()
        try:
            value = meter.energy_j() if self.counts else meter.read_watts()
            if value is None or not math.isfinite(value) or value < 0:
                raise SensorError(f"{meter.family} gave {value}")
            if self.counts and self.power and value < self.power[-1][1]:
                raise SensorError(f"{meter.family}: the energy counter went back from {self.power[-1][1]} to {value} J")
        except NotYetError:
            return
        except Exception as error:  # a user's meter may raise anything; a broken sensor must not end a benchmark
            reason = str(error) if isinstance(error, SensorError) else f"{type(error).__name__}: {error}"
            self.failures.append((before, reason))
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= MAX_FAILURES:
                self.given_up = reason
            return
        self._failed_in_a_row = 0
        self.power.append(((before + clock()) / 2, float(value)))

    @staticmethod
    def _following(due: float, interval_s: float, now: float) -> float:
        """The next time on the grid; what was missed is left out instead of being caught up with."""
        if not math.isfinite(due):
            return now + interval_s
        return due + interval_s * max(1, math.floor((now - due) / interval_s) + 1)


class Time(Protocol):
    """The clock of a measurement, how to wait on it, and how samples are taken meanwhile. Tests bring their own."""

    def now(self) -> float:
        """Seconds on a clock that never jumps."""

    def sleep(self, seconds: float) -> None:
        """Wait, idle."""

    def sampling(self, recorder: Recorder) -> contextlib.AbstractContextManager[None]:
        """Take samples while the block runs, and never after it."""


class RealTime:
    """The machine's monotonic clock, and a thread that samples."""

    def now(self) -> float:
        """``time.perf_counter``: setting the wall clock doesn't move it."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """``time.sleep``."""
        time.sleep(seconds)

    @contextlib.contextmanager
    def sampling(self, recorder: Recorder) -> Iterator[None]:
        """Run a thread that samples; it is stopped whatever happens in the block."""
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(max(recorder.due_in(self.now()), 0.001 if not recorder.paused else 0.02)):
                recorder.tick(self.now)

        thread = threading.Thread(target=work, name="edgeformer-sampler", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(STOP_TIMEOUT_S)  # a reading that hangs must not hold the report back
