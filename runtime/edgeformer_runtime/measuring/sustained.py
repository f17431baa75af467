"""A sustained run: throughput, temperature, clock and power in windows over minutes of uninterrupted work.

A device that is fast for a minute may throttle in the tenth; devices change places then.
"""

from __future__ import annotations

import statistics
from typing import Callable, List, Optional, Sequence

from ..errors import InputError, SensorError
from .energy import Trace
from .findings import Sustained, Window
from .monitor import Monitor
from .sampler import Recorder, Time
from .throttling import events
from .timing import Amount, Timed, timed

WINDOW_S = 10.0
COMPARED_S = 60.0  # of the begin and of the end


def sustain(
    run: Callable[[], object],
    seconds: float,
    recorder: Recorder,
    monitor: Monitor,
    time: Time,
    progress: Callable[[str], None],
) -> Sustained:
    """Call ``run`` for ``seconds``; windows of 10 s, or a tenth of the time where that is less."""
    check_seconds(seconds)
    window_s = min(WINDOW_S, seconds / 10)
    before, begin = monitor.throttles.read(), time.now()
    windows: List[Window] = []
    told = 0
    while time.now() - begin < seconds:
        loop = timed(run, Amount(least_runs=1, least_s=window_s), time.now)
        recorder.snapshots.append((loop.end_s, monitor.snapshot()))
        windows.append(_window(loop, begin, recorder))
        minute = int((loop.end_s - begin) // 60)
        if minute > told:
            told = minute
            progress(f"sustained: {minute} of {seconds / 60:.0f} min, {windows[-1].throughput_per_s:.1f} per s")
    during = [look.throttles for at_s, look in list(recorder.snapshots) if at_s >= begin]
    return summary(windows, events(before, during, monitor.throttles.read()))


def check_seconds(seconds: float) -> None:
    """Raise InputError unless it is a positive time."""
    if not 0 < seconds < float("inf"):
        raise InputError(f"sustained: {seconds / 60:g} minutes: expected a positive number")


def summary(windows: Sequence[Window], throttle_events: Sequence[str]) -> Sustained:
    """First minute against last, or thirds of the run where it was shorter than three minutes."""
    total_s = windows[-1].start_s + windows[-1].duration_s
    compared_s = min(COMPARED_S, total_s / 3)
    first = [window for window in windows if window.start_s < compared_s] or [windows[0]]
    last = [window for window in windows if window.start_s + window.duration_s > total_s - compared_s]
    return Sustained(tuple(windows), _rate(first), _rate(last), compared_s, tuple(throttle_events))


def joined(windows: Sequence[Window]) -> Window:
    """One window for several that follow each other: hottest, slowest clock, and the median of their medians.

    Watts are the mean over the time for which there are any.
    """
    powered = [(window.watts, window.duration_s) for window in windows if window.watts is not None]
    powered_s = sum(duration_s for _, duration_s in powered)
    return Window(
        windows[0].start_s,
        sum(window.duration_s for window in windows),
        sum(window.runs for window in windows),
        statistics.median(window.p50_ms for window in windows),
        max((window.temperature_c for window in windows if window.temperature_c is not None), default=None),
        min((window.clock_mhz for window in windows if window.clock_mhz is not None), default=None),
        sum(watts * duration_s for watts, duration_s in powered) / powered_s if powered else None,
        tuple(sorted({text for window in windows for text in window.throttles})),
    )


def _rate(windows: Sequence[Window]) -> float:
    return sum(window.runs for window in windows) / sum(window.duration_s for window in windows)


def _window(loop: Timed, begin_s: float, recorder: Recorder) -> Window:
    looks = [look for at_s, look in list(recorder.snapshots) if loop.begin_s <= at_s <= loop.end_s]
    watts: Optional[float] = None
    if recorder.meter is not None:
        try:
            watts = Trace(recorder).watts(loop.begin_s, loop.end_s)
        except SensorError:  # this window has no watts; the others may
            watts = None
    return Window(
        loop.begin_s - begin_s,
        loop.duration_s,
        len(loop.latencies_ms),
        statistics.median(loop.latencies_ms),
        max((look.temperature_c for look in looks if look.temperature_c is not None), default=None),
        min((look.clock_mhz for look in looks if look.clock_mhz is not None), default=None),
        watts,
        tuple(sorted({text for look in looks for text in look.throttles})),
    )
