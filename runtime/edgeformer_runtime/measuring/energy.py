"""Energy of one inference from what a meter gave during a loop, with its uncertainty.

    E_gross = Σ ½ (Pᵢ + Pᵢ₊₁) Δt          or the difference of an energy counter
    E_net   = E_gross − P_idle · T         both divided by the number of inferences

Standard uncertainties are combined by their squares, as the Guide to the Expression of Uncertainty in Measurement
(JCGM 100:2008, 5.1.2) has it; limits without a distribution count as rectangular, a/√3 (4.3.7). The net energy is not
resolved when it is smaller than twice its uncertainty.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from ..errors import SensorError
from ..power.base import Meter
from .findings import Energy, Idle, Repeat
from .sampler import Recorder
from .steadiness import standard_error
from .timing import Timed

COVERAGE = 2.0  # standard uncertainties in what is printed behind ±
MAX_IDLE_DRIFT = 0.05
LEAST_SAMPLES = 10
MAX_FAILED = 0.1  # of the readings in the loop
MAX_GAP_INTERVALS = 5.0

Samples = Sequence[Tuple[float, float]]


def trapezoid_j(samples: Samples, begin_s: float, end_s: float) -> float:
    """Energy in J between two times from (time, watts) in order of time.

    Between samples power is taken as linear; before the first and after the last one as constant.
    """
    if not samples:
        raise SensorError("no power was sampled")
    inside = samples[_after(samples, begin_s) : _from(samples, end_s)]
    points = [(begin_s, _at(samples, begin_s)), *inside, (end_s, _at(samples, end_s))]
    return math.fsum((later - time) * (watts + then) / 2 for (time, watts), (later, then) in zip(points, points[1:]))


def counter_j(samples: Samples, begin_s: float, end_s: float) -> float:
    """Energy in J between two times from (time, joules) of a counter; linear between its readings."""
    if not samples:
        raise SensorError("the energy counter was never read")
    return _at(samples, end_s) - _at(samples, begin_s)


def _after(samples: Samples, time_s: float) -> int:
    return bisect_right([time for time, _ in samples], time_s)


def _from(samples: Samples, time_s: float) -> int:
    return bisect_left([time for time, _ in samples], time_s)


def _at(samples: Samples, time_s: float) -> float:
    """The value at a time, interpolated; the nearest sample's beyond the ends."""
    index = _after(samples, time_s)
    if index == 0:
        return samples[0][1]
    if index == len(samples):
        return samples[-1][1]
    (before, low), (after, high) = samples[index - 1], samples[index]
    return low + (high - low) * (time_s - before) / (after - before) if after > before else high


@dataclass(frozen=True)
class Trace:
    """What a recorder holds of a meter, as energy between any two times."""

    recorder: Recorder

    def joules(self, begin_s: float, end_s: float) -> float:
        """Energy in J. Raises SensorError where the samples don't carry it: gaps, failures, too few."""
        samples, interval_s = self.recorder.power, self.recorder.interval_s
        inside = [time for time, _ in samples if begin_s <= time <= end_s]
        needed = 2 if self.recorder.counts else LEAST_SAMPLES
        failed = self.failures(begin_s, end_s)
        if self.recorder.given_up is not None and not (inside and inside[-1] >= end_s - MAX_GAP_INTERVALS * interval_s):
            raise SensorError(f"the meter stopped answering during the run: {self.recorder.given_up}")
        if failed and len(failed) > MAX_FAILED * (len(failed) + len(inside)):
            raise SensorError(f"{len(failed)} of {len(failed) + len(inside)} readings failed: {failed[-1]}")
        if len(inside) < needed:
            raise SensorError(
                f"{len(inside)} readings in {end_s - begin_s:.1f} s, expected at least {needed} (one every "
                f"{interval_s:.2g} s): measure for longer, with --duration"
            )
        edges = [begin_s, *inside, end_s]
        gap_s = max(later - earlier for earlier, later in zip(edges, edges[1:]))
        if gap_s > max(MAX_GAP_INTERVALS * interval_s, 0.5):
            raise SensorError(f"the meter was silent for {gap_s:.1f} s during the run")
        return self.integral(begin_s, end_s)

    def integral(self, begin_s: float, end_s: float) -> float:
        """Energy in J, unchecked."""
        return (counter_j if self.recorder.counts else trapezoid_j)(self.recorder.power, begin_s, end_s)

    def failures(self, begin_s: float, end_s: float) -> List[str]:
        """Reasons of the readings that failed meanwhile."""
        return [reason for time, reason in list(self.recorder.failures) if begin_s <= time <= end_s]

    def count(self, begin_s: float, end_s: float) -> int:
        """Readings that succeeded meanwhile."""
        return sum(begin_s <= time <= end_s for time, _ in self.recorder.power)

    def watts(self, begin_s: float, end_s: float) -> float:
        """Mean power. Raises SensorError as ``joules`` does."""
        self.joules(begin_s, end_s)
        begin_s, end_s = self._covered(begin_s, end_s)
        return self.integral(begin_s, end_s) / (end_s - begin_s)

    def mean_error_w(self, begin_s: float, end_s: float, parts: int = 5) -> Optional[float]:
        """Standard error of the mean power, from the means of equal parts: neighbouring samples aren't independent."""
        begin_s, end_s = self._covered(begin_s, end_s)
        step = (end_s - begin_s) / parts
        bounds = [(begin_s + index * step, begin_s + (index + 1) * step) for index in range(parts)]
        return standard_error([self.integral(low, high) / step for low, high in bounds])

    def _covered(self, begin_s: float, end_s: float) -> Tuple[float, float]:
        """Of a counter the time between its readings: beyond the last one nothing is known yet."""
        inside = [time for time, _ in self.recorder.power if begin_s <= time <= end_s]
        return (inside[0], inside[-1]) if self.recorder.counts and len(inside) > 1 else (begin_s, end_s)


def energy_of(
    trace: Trace, meter: Meter, loops: Sequence[Timed], idle_before: Idle, idle_after: Idle
) -> Tuple[Energy, Dict[str, str]]:
    """Energy of an inference over ``loops`` that follow each other closely, and the reasons for what is missing.

    Raises SensorError when there is no gross energy either.
    """
    begin_s, end_s = loops[0].begin_s, loops[-1].end_s
    trace.joules(begin_s, end_s)  # refuses gaps, also those between the loops
    runs = sum(len(loop.latencies_ms) for loop in loops)
    duration_s = sum(loop.duration_s for loop in loops)
    to_mj = 1e3 * duration_s / runs  # from mean watts to mJ an inference
    mean_w = sum(trace.integral(loop.begin_s, loop.end_s) for loop in loops) / duration_s
    parts = gross_components_w(trace, meter, loops, mean_w)
    gross_u_w = _combined(parts)
    net_w, net_parts, reasons = _net(meter, mean_w, parts, idle_before, idle_after)
    net_u_w = _combined(net_parts)
    gross, net = mean_w * to_mj, None if net_w is None else net_w * to_mj
    net_u_mj = COVERAGE * net_u_w * to_mj
    if net is not None and net < net_u_mj:
        reasons["energy.net_mj"] = (
            f"not resolved: {net:.3g} mJ more than idle is within its uncertainty of ±{net_u_mj:.3g} mJ. Measure for "
            "longer, or a heavier model"
        )
        net = None
    unknown = [name for name, value in net_parts.items() if value is None]
    if unknown:
        reasons["energy.components_mj"] = f"{', '.join(unknown)}: not published for this sensor, so ± is a lower bound"
    samples = trace.count(begin_s, end_s)
    gross_known = gross_u_w > 1e-9 * mean_w or None not in parts.values()  # no sum of unknown parts is a 0
    if not gross_known:
        reasons["energy.gross_uncertainty_mj"] = reasons["energy.mean_uncertainty_w"] = (
            "this sensor publishes neither resolution nor accuracy, and the repeats were alike"
        )
    return Energy(
        method="counter" if trace.recorder.counts else "sampled watts",
        gross_mj=gross,
        gross_uncertainty_mj=COVERAGE * gross_u_w * to_mj if gross_known else None,
        net_mj=net,
        net_uncertainty_mj=None if net_w is None else net_u_mj,
        mean_w=mean_w,
        mean_uncertainty_w=COVERAGE * gross_u_w if gross_known else None,
        idle_w=_mean(idle_before.watts, idle_after.watts),
        idle_drift=_drift(idle_before, idle_after),
        samples=samples,
        failed_samples=len(trace.failures(begin_s, end_s)),
        rate_hz=samples / (end_s - begin_s),
        components_mj={name: None if value is None else value * to_mj for name, value in net_parts.items()},
        sub_rails_w=dict(meter.sub_rails()),
    ), reasons


def gross_components_w(trace: Trace, meter: Meter, loops: Sequence[Timed], mean_w: float) -> Dict[str, Optional[float]]:
    """Standard uncertainties of the mean power over the loops, in W; None where nothing is known."""
    duration_s = sum(loop.duration_s for loop in loops)
    means = [trace.integral(loop.begin_s, loop.end_s) / loop.duration_s for loop in loops if loop.duration_s > 0]
    spread_w = standard_error(means)
    if spread_w is None:
        spread_w = trace.mean_error_w(loops[0].begin_s, loops[-1].end_s)
    # Each end of the loop lies anywhere between two readings: ±Δ/2, rectangular, twice.
    ends_w = mean_w * trace.recorder.interval_s / duration_s / math.sqrt(6) if trace.recorder.counts else 0.0
    return {
        # One step of the converter, the same for all readings of a steady load: more readings don't help.
        "resolution": None if meter.resolution_w is None else meter.resolution_w / math.sqrt(12),
        "accuracy": None if meter.accuracy_fraction is None else meter.accuracy_fraction / math.sqrt(3) * mean_w,
        "repeats": spread_w,
        "ends": ends_w,
    }


def _net(
    meter: Meter, mean_w: float, gross: Dict[str, Optional[float]], before: Idle, after: Idle
) -> Tuple[Optional[float], Dict[str, Optional[float]], Dict[str, str]]:
    """(net W, its components in W, reasons)."""
    if before.watts is None or after.watts is None:
        return None, {}, {"energy.net_mj": "the idle power isn't known: the meter gave none before or after the loop"}
    drift = _drift(before, after)
    idle_w = (before.watts + after.watts) / 2
    net_w = mean_w - idle_w
    accuracy, resolution = meter.accuracy_fraction, gross["resolution"]
    parts = {
        "resolution": None if resolution is None else resolution * math.sqrt(2),  # of both, loop and idle
        "accuracy": None if accuracy is None else accuracy / math.sqrt(3) * abs(net_w),  # a gain is common to both
        "repeats": gross["repeats"],
        "ends": gross["ends"],
        "idle": _root_of_squares(
            (before.watts_error or 0.0) / 2, (after.watts_error or 0.0) / 2, (after.watts - before.watts) / 2
        ),
    }
    if drift is None or abs(drift) > MAX_IDLE_DRIFT:
        by = "from 0 W" if drift is None else f"by {100 * drift:+.1f} %"
        return None, parts, {
            "energy.net_mj": f"the idle power moved {by} ({before.watts:.3f} to {after.watts:.3f} W), at most "
            f"{100 * MAX_IDLE_DRIFT:g} % is allowed: let the device settle, stop other programs, and measure again"
        }  # fmt: skip
    return net_w, parts, {}


def repeats_of(loops: Sequence[Timed], p50s_ms: Sequence[float], trace: Optional[Trace]) -> Tuple[Repeat, ...]:
    """The repeats, with their own energy where ``trace`` carries it."""
    found = []
    for loop, p50_ms in zip(loops, p50s_ms):
        runs = len(loop.latencies_ms)
        energy_mj = None
        if trace is not None and loop.duration_s > 0:
            energy_mj = 1e3 * trace.integral(loop.begin_s, loop.end_s) / runs
        found.append(Repeat(runs, loop.duration_s, p50_ms, energy_mj))
    return tuple(found)


def _drift(before: Idle, after: Idle) -> Optional[float]:
    if not before.watts or after.watts is None:
        return None
    return (after.watts - before.watts) / before.watts


def _mean(first: Optional[float], second: Optional[float]) -> Optional[float]:
    return None if first is None or second is None else (first + second) / 2


def _combined(parts: Dict[str, Optional[float]]) -> float:
    return _root_of_squares(*(value for value in parts.values() if value is not None))


def _root_of_squares(*values: float) -> float:
    return math.sqrt(sum(value * value for value in values))
