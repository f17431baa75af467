"""Does a measurement count? Reasons why not, and what a reader should know beside."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from .findings import CpuClock, Energy, Load, Sampling, Sustained, Throttling
from .steadiness import MAX_SPREAD, Warmup, spread

MAX_CLOCK_DROP = 0.10
MAX_OTHER_LOAD = 0.10  # of the cores
NOTED_OTHER_LOAD = 0.03
NOTED_OVERHEAD = 0.02


def judge(
    protocol: str,
    warmup: Warmup,
    medians_ms: Sequence[float],
    clock: Optional[CpuClock],
    throttling: Throttling,
    load: Load,
    sampling: Sampling,
    energy: Optional[Energy],
    lasting: Optional[Sustained] = None,
) -> Tuple[Tuple[str, ...], Tuple[str, ...]]:
    """(reasons why it doesn't count, notes)."""
    invalid, notes = _quietness(medians_ms, load)
    if lasting is not None:
        _look_at_load(lasting.other_cores, load.cores, " during the sustained run", invalid, notes)
    if throttling.events:
        invalid.append(f"the device throttled itself: {', '.join(throttling.events)}. Cool it, or power it better")
    drop = clock_drop(clock)
    if clock is not None and drop is not None and drop > MAX_CLOCK_DROP:
        invalid.append(f"the clock fell from {clock.start_mhz:.0f} to {clock.lowest_mhz:.0f} MHz during the run")
    if not warmup.settled:
        notes.append(f"latency was still moving after {warmup.runs} runs of warm-up")
    if throttling.earlier:
        notes.append(f"since it was started, before this run, the device had seen: {', '.join(throttling.earlier)}")
    if sampling.overhead is not None and sampling.overhead > NOTED_OVERHEAD and (sampling.overhead_low or 0.0) > 0:
        notes.append(f"watching the sensors made runs {100 * sampling.overhead:.1f} % slower; latencies include it")
    if energy is not None and energy.failed_samples:
        notes.append(f"{energy.failed_samples} readings of the meter failed and were left out")
    if protocol == "quick":
        notes.append("a quick look: measure without --quick for figures to publish")
    return tuple(invalid), tuple(notes)


def _quietness(medians_ms: Sequence[float], load: Load) -> Tuple[List[str], List[str]]:
    invalid, notes = [], []
    apart = spread(medians_ms)
    if apart is None:
        notes.append("one repeat only, so it isn't known whether the machine was quiet")
    elif apart > MAX_SPREAD:
        invalid.append(
            f"the machine wasn't quiet: medians of the {len(medians_ms)} repeats lie {100 * apart:.1f} % apart, at "
            f"most {100 * MAX_SPREAD:g} % is allowed"
        )
    _look_at_load(load.other_cores, load.cores, "", invalid, notes)
    return invalid, notes


def _look_at_load(others: Optional[float], cores: int, when: str, invalid: List[str], notes: List[str]) -> None:
    if others is None:
        return
    told = f"other programs, or a hypervisor, kept {others:.2f} of {cores} cores busy{when}"
    if others > MAX_OTHER_LOAD * cores:
        invalid.append(f"the machine wasn't quiet: {told}, at most {MAX_OTHER_LOAD * cores:.2f} is allowed")
    elif others > NOTED_OTHER_LOAD * cores:
        notes.append(told)


def clock_drop(clock: Optional[CpuClock]) -> Optional[float]:
    """How far the clock fell within the timed loop, as a share of its begin; None where it isn't known."""
    if clock is None or not clock.start_mhz or clock.lowest_mhz is None:
        return None
    return 1 - clock.lowest_mhz / clock.start_mhz
