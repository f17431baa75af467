"""The measurement protocol. ``measure`` tells it from the begin to the end:

    idle, engine loaded ─ warm-up until steady ─ cost of watching ─ equal repeats of a timed loop ─ idle again ─ judge

Power, temperature, clock and throttling are sampled beside it on the same monotonic clock. A measurement that was
disturbed is kept, with ``invalid`` saying by what. The parts live beside this file: timing, steadiness, sampler,
monitor (thermal, throttling), energy, sustained.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field, replace
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..errors import SensorError
from ..power.base import PowerReading
from .energy import Trace, energy_of, repeats_of
from .findings import CpuClock, Energy, Idle, Interval, Load, Repeat, Sampling, Sustained, Thermal, Throttling
from .instruments import Instruments
from .judgement import judge
from .monitor import CpuSeconds, Snapshot, other_cores
from .sampler import Recorder
from .steadiness import Warmup, t_half_width, t_interval, warm_up
from .sustained import sustain
from .throttling import ThrottleState, events, history
from .timing import MIN_RUNS_FOR_P99, Amount, Timed, check_amount, shares, thinned, timed

# Beside the protocol, what trials and host tools take from here.
__all__ = [
    "MIN_RUNS_FOR_P99",
    "QUICK",
    "STANDARD",
    "Measurement",
    "Protocol",
    "Warmup",
    "check_amount",
    "measure",
    "warm_up",
]

IDLE_SAMPLES = 12  # of a slow meter that an idle baseline takes at least
MAX_IDLE_S = 120.0
NO_METER_IDLE = 5  # times shorter where no meter wants more

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Protocol:
    """How long each part takes. A repeat lasts until both least amounts are reached, or ``repeat_limit_s``."""

    name: str
    settle_s: float  # before an idle baseline, for clocks, caches of watts, and heat
    idle_s: float
    warmup_s: float
    repeats: int
    repeat_runs: int
    repeat_s: float
    repeat_limit_s: float
    overhead_turns: int  # with and without the sampler; 0 skips it
    overhead_turn_s: float


STANDARD = Protocol("standard", 2.0, 5.0, 5.0, 5, 20, 4.0, 60.0, 10, 0.25)
QUICK = Protocol("quick", 0.1, 0.5, 0.3, 3, 10, 0.3, 10.0, 0, 0.0)


@dataclass(frozen=True)
class Measurement:
    """What a run of the protocol found. Every None has a reason under its name in ``reasons``."""

    protocol: str
    warmup_runs: int
    warmup_settled: bool
    latencies_ms: Tuple[float, ...]
    latencies_kept_every: int  # 1: all; 10: every tenth
    total_runs: int
    duration_s: float  # of the repeats together
    repeats: Tuple[Repeat, ...]
    p50_interval: Optional[Interval]
    power: PowerReading
    energy: Optional[Energy]
    idle_before: Idle
    idle_after: Idle
    thermal: Optional[Thermal]
    clock: Optional[CpuClock]
    throttling: Throttling
    load: Load
    sampling: Sampling
    sustained: Optional[Sustained]
    invalid: Tuple[str, ...]  # why the figures don't count; empty when they do
    notes: Tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)


def measure(
    run: Callable[[], object],
    instruments: Instruments,
    protocol: Protocol = STANDARD,
    runs: Optional[int] = None,
    duration_s: Optional[float] = None,
    sustained_s: Optional[float] = None,
    progress: Progress = lambda message: None,
) -> Measurement:
    """Measure ``run``, one inference a call, on a device whose engine is loaded.

    ``runs`` and ``duration_s`` set the amount of all repeats together, ``sustained_s`` adds a long run at the end.
    Sensors that fail make their figures unavailable and nothing else. Raises InputError, and what ``run`` raises.
    """
    check_amount(runs, duration_s)
    amounts = _amounts(protocol, runs, duration_s)
    time, recorder = instruments.time, instruments.recorder()
    with time.sampling(recorder):
        bench = _Bench(run, instruments, protocol, recorder, progress)
        idle_before = bench.idle("before")
        bench.begin()
        progress(f"warming up, at least {protocol.warmup_s:g} s")
        warmup = warm_up(run, time.now, protocol.warmup_s)
        sampling = bench.sampling_cost()
        loops = bench.loops(amounts)
        bench.end()
        idle_after = bench.idle("after")
        lasting = None
        if sustained_s is not None:
            cpu = instruments.monitor.cpu_seconds()
            lasting = sustain(run, sustained_s, recorder, instruments.monitor, time, progress)
            lasting = replace(lasting, other_cores=other_cores(cpu, instruments.monitor.cpu_seconds()))
    return bench.found(warmup, sampling, loops, idle_before, idle_after, lasting)


def _amounts(protocol: Protocol, runs: Optional[int], duration_s: Optional[float]) -> List[Amount]:
    if runs is not None or duration_s is not None:
        return shares(runs, duration_s, protocol.repeats)
    return [Amount(protocol.repeat_runs, protocol.repeat_s, protocol.repeat_limit_s)] * protocol.repeats


class _Bench:
    """The steps of one measurement, and the looks at the device around its timed part."""

    def __init__(
        self,
        run: Callable[[], object],
        instruments: Instruments,
        protocol: Protocol,
        recorder: Recorder,
        progress: Progress,
    ) -> None:
        self.run = run
        self.instruments = instruments
        self.monitor, self.time = instruments.monitor, instruments.time
        self.protocol, self.recorder, self.progress = protocol, recorder, progress
        self.trace = Trace(recorder)
        self.reasons: Dict[str, str] = {}
        self.load_average = self.monitor.load_average()
        self.governors: List[Optional[str]] = []
        self.throttles: List[ThrottleState] = []
        self.cpu: List[Optional[CpuSeconds]] = []

    # ---- steps ----

    def idle(self, when: str) -> Idle:
        """Let the device settle, then watch it do nothing."""
        seconds, settle_s = self.protocol.idle_s, self.protocol.settle_s
        if self.recorder.meter is None:
            seconds, settle_s = seconds / NO_METER_IDLE, settle_s / NO_METER_IDLE
        else:
            seconds = min(max(seconds, IDLE_SAMPLES * self.recorder.interval_s), MAX_IDLE_S)
        self.progress(f"idle baseline {when}, {settle_s + seconds:.1f} s")
        self.time.sleep(settle_s)
        cpu, begin = self.monitor.cpu_seconds(), self.time.now()
        self.time.sleep(seconds)
        end, snapshot = self.time.now(), self.monitor.snapshot()
        watts = error = None
        if self.recorder.meter is not None:
            try:
                watts = self.trace.watts(begin, end)
                error = self.trace.mean_error_w(begin, end)
            except SensorError as problem:
                self.reasons[f"idle_{when}.watts"] = str(problem)
        others = other_cores(cpu, self.monitor.cpu_seconds())
        return Idle(end - begin, watts, error, snapshot.temperature_c, snapshot.clock_mhz, others)

    def begin(self) -> None:
        """A look before the first run."""
        self.throttles.append(self.monitor.throttles.read())
        self.governors.append(self.monitor.governor())

    def sampling_cost(self) -> Sampling:
        """Latency with the sampler against without, in turns: off, on, on, off, off, on …"""
        interval_s = self.recorder.interval_s if self.recorder.meter is not None else None
        turns = self.protocol.overhead_turns
        if turns == 0:
            self.reasons["sampling.overhead"] = f"the {self.protocol.name} protocol leaves it out"
            return Sampling(interval_s)
        if not self.instruments.samples_anything:
            self.reasons["sampling.overhead"] = "there was nothing to sample"
            return Sampling(interval_s)
        self.progress("measuring what the sampler costs")
        amount = Amount(5, self.protocol.overhead_turn_s, give_up_s=5.0)
        ratios = []
        for turn in range(turns):
            medians = {}
            for paused in (True, False) if turn % 2 == 0 else (False, True):
                self.recorder.paused = paused
                medians[paused] = statistics.median(timed(self.run, amount, self.time.now).latencies_ms)
            self.recorder.paused = False
            if medians[True] > 0:
                ratios.append(medians[False] / medians[True] - 1)
        if not ratios:
            self.reasons["sampling.overhead"] = "runs were too short for the clock"
            return Sampling(interval_s)
        mean, error = statistics.mean(ratios), t_half_width(ratios)
        if error is None:
            self.reasons["sampling.overhead_low"] = "one turn has no spread"
            return Sampling(interval_s, mean, None, None, 1)
        return Sampling(interval_s, mean, mean - error, mean + error, len(ratios))

    def loops(self, amounts: Sequence[Amount]) -> List[Timed]:
        """The timed repeats, with a look at the device after each."""
        found = []
        self.cpu.append(self.monitor.cpu_seconds())
        for index, amount in enumerate(amounts):
            self.progress(f"timing, repeat {index + 1} of {len(amounts)}")
            found.append(timed(self.run, amount, self.time.now))
            self.recorder.snapshots.append((found[-1].end_s, self.monitor.snapshot()))
        self.cpu.append(self.monitor.cpu_seconds())
        return found

    def end(self) -> None:
        """A look after the last run."""
        self.throttles.append(self.monitor.throttles.read())
        self.governors.append(self.monitor.governor())

    # ---- what came of it ----

    def found(
        self,
        warmup: Warmup,
        sampling: Sampling,
        loops: Sequence[Timed],
        before: Idle,
        after: Idle,
        lasting: Optional[Sustained],
    ) -> Measurement:
        """All figures, and the judgement on them."""
        latencies = [value for loop in loops for value in loop.latencies_ms]
        kept, step = thinned(latencies)
        medians = [statistics.median(loop.latencies_ms) for loop in loops]
        power, energy = self._power(loops, before, after)
        thermal, clock = self._thermal(loops, before, after), self._clock(loops, before)
        throttling, load = self._throttling(loops), self._load()
        if lasting is None:
            self.reasons["sustained"] = "not asked for (--sustained)"
        amount = self._asked_for_less(len(latencies), sum(loop.duration_s for loop in loops))
        invalid, notes = judge(self.protocol.name, warmup, medians, clock, throttling, load, sampling, energy, lasting)
        return Measurement(
            protocol=self.protocol.name,
            warmup_runs=warmup.runs,
            warmup_settled=warmup.settled,
            latencies_ms=kept,
            latencies_kept_every=step,
            total_runs=len(latencies),
            duration_s=sum(loop.duration_s for loop in loops),
            repeats=repeats_of(loops, medians, self.trace if energy is not None else None),
            p50_interval=self._interval(kept, medians),
            power=power,
            energy=energy,
            idle_before=before,
            idle_after=after,
            thermal=thermal,
            clock=clock,
            throttling=throttling,
            load=load,
            sampling=sampling,
            sustained=lasting,
            invalid=invalid,
            notes=(*amount, *notes),
            reasons=self.reasons,
        )

    def _asked_for_less(self, runs: int, duration_s: float) -> Tuple[str, ...]:
        usual = self.protocol
        if runs >= usual.repeats * usual.repeat_runs and duration_s >= 0.9 * usual.repeats * usual.repeat_s:
            return ()
        return (f"{runs} runs in {duration_s:.1f} s, less than the {usual.name} protocol takes",)

    def _interval(self, kept: Sequence[float], medians: Sequence[float]) -> Optional[Interval]:
        bounds = t_interval(statistics.median(kept), medians)
        if bounds is None:
            self.reasons["p50_interval"] = "one repeat has no spread: measure more runs"
            return None
        return Interval(*bounds, method=f"95 %, Student's t on the medians of {len(medians)} repeats")

    def _power(self, loops: Sequence[Timed], before: Idle, after: Idle) -> Tuple[PowerReading, Optional[Energy]]:
        meter = self.recorder.meter
        if meter is None:
            self.reasons["energy"] = "there is no power reading"
            return self.instruments.no_power, None
        places = self.instruments.places
        try:
            energy, reasons = energy_of(self.trace, meter, loops, before, after)
        except SensorError as error:
            self.reasons["energy"] = str(error)
            return PowerReading("unavailable", meter.family, reason=str(error), looked_at=places), None
        self.reasons.update(reasons)
        reading = PowerReading(
            meter.status, meter.family, energy.mean_w, meter.scope, meter.rail, meter.model, looked_at=places
        )
        return reading, energy

    def _thermal(self, loops: Sequence[Timed], before: Idle, after: Idle) -> Optional[Thermal]:
        thermometer = self.monitor.thermometer
        if thermometer is None:
            self.reasons["thermal"] = self.monitor.no_temperature or "there is no thermometer"
            return None
        during = [look.temperature_c for look in self._looks(loops[0].begin_s, loops[-1].end_s)]
        highest = max((value for value in during if value is not None), default=None)
        found = Thermal(thermometer.name, before.temperature_c, highest, after.temperature_c)
        for name in ("before_c", "max_c", "after_c"):
            if getattr(found, name) is None:
                self.reasons[f"thermal.{name}"] = "the thermometer gave no plausible temperature"
        return found

    def _clock(self, loops: Sequence[Timed], before: Idle) -> Optional[CpuClock]:
        medians = []
        for loop in loops:
            clocks = [look.clock_mhz for look in self._looks(loop.begin_s, loop.end_s)]
            known = [value for value in clocks if value is not None]
            if known:
                medians.append(statistics.median(known))
        governors = tuple(self.governors)
        if not medians and not any(governors):
            self.reasons["clock"] = "this system doesn't tell its clock (no cpufreq)"
            return None
        if not medians:
            self.reasons["clock.start_mhz"] = self.reasons["clock.lowest_mhz"] = "the clock couldn't be read"
        return CpuClock(
            governors[0],
            governors[-1],
            before.clock_mhz,
            medians[0] if medians else None,
            min(medians) if medians else None,
        )

    def _throttling(self, loops: Sequence[Timed]) -> Throttling:
        first, last = self.throttles
        during = [look.throttles for look in self._looks(loops[0].begin_s, loops[-1].end_s)]
        sources = self.monitor.throttles.names
        if not sources:
            self.reasons["throttling"] = "nothing here tells of throttling; the clock and the repeats may"
        return Throttling(sources, events(first, during, last), history(first))

    def _load(self) -> Load:
        others = other_cores(self.cpu[0], self.cpu[-1])
        if others is None:
            self.reasons["load.other_cores"] = "the loop was shorter than 1 s, or this system counts no processor time"
        return Load(self.instruments.cores, others, self.load_average)

    def _looks(self, begin_s: float, end_s: float) -> List[Snapshot]:
        return [look for at_s, look in list(self.recorder.snapshots) if begin_s <= at_s <= end_s]
