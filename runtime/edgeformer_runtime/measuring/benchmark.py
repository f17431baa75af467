"""A session's benchmark: the protocol's measurement with the facts of bundle, engine and device, as one report."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, fields
from typing import Any, Callable, Dict, Optional, Tuple

from .. import power
from ..device.facts import probe
from ..version import __version__
from .instruments import Instruments, instruments_of
from .measure import MIN_RUNS_FOR_P99, QUICK, STANDARD, Measurement, Progress, check_amount, measure
from .report import Report
from .sustained import check_seconds


@dataclass(frozen=True)
class Wanted:
    """What a benchmark was asked for. ``meter``: the user's own, any object with ``read_watts()``."""

    runs: Optional[int] = None
    duration_s: Optional[float] = None
    quick: bool = False
    sustained_minutes: Optional[float] = None
    meter: Optional[Any] = None

    def __post_init__(self) -> None:
        check_amount(self.runs, self.duration_s)
        if self.sustained_minutes is not None:
            check_seconds(60 * self.sustained_minutes)


def benchmark(
    run: Callable[[], object],
    wanted: Wanted,
    facts: Callable[[], Dict[str, Any]],
    progress: Progress = lambda message: None,
    instruments: Optional[Instruments] = None,
) -> Report:
    """Measure ``run``, one inference a call, and report.

    ``facts`` gives the report's fields on bundle, engine and memory, ``reasons`` among them, after the measurement.
    """
    started_at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    found = _find(wanted.meter)
    try:
        found_measurement = measure(
            run,
            instruments or instruments_of(found),
            QUICK if wanted.quick else STANDARD,
            wanted.runs,
            wanted.duration_s,
            None if wanted.sustained_minutes is None else 60 * wanted.sustained_minutes,
            progress,
        )
    finally:
        found.close()
    return _report(found_measurement, started_at, facts())


def _find(meter: Optional[Any]) -> power.Found:
    """The sensors of this device, or the user's own meter alone."""
    if meter is None:
        return power.find()
    from ..power.external import wrap

    whole = all(hasattr(meter, name) for name in ("family", "status", "scope", "read_watts", "energy_j"))
    return power.Found((meter if whole else wrap(meter),))


def _report(measurement: Measurement, started_at: str, facts: Dict[str, Any]) -> Report:
    names = {item.name for item in fields(Report)}
    shared = {item.name: getattr(measurement, item.name) for item in fields(measurement) if item.name in names}
    temperature, why = _temperature(measurement)
    reasons = {**facts.pop("reasons"), **measurement.reasons, **_reasons(measurement)}
    if why is not None:
        reasons["temperature_c"] = why
    shared["reasons"] = reasons
    threads, cores = facts["threads"], measurement.load.cores
    if threads > cores:
        shared["invalid"] += (
            f"{threads} threads share the {cores} cores that this process may use: give --threads {cores}",
        )
    return Report(
        **facts, **shared, temperature_c=temperature, device=probe(), started_at=started_at, runtime_version=__version__
    )


def _temperature(measurement: Measurement) -> Tuple[Optional[float], Optional[str]]:
    if measurement.thermal is None:
        return None, measurement.reasons.get("thermal", "there is no thermometer")
    return measurement.thermal.max_c, measurement.reasons.get("thermal.max_c")


def _reasons(measurement: Measurement) -> Dict[str, str]:
    reasons = {}
    runs = measurement.total_runs
    if runs < MIN_RUNS_FOR_P99:
        reasons["latency_ms.p99"] = f"{runs} runs, needs {MIN_RUNS_FOR_P99}"
    if runs == 1:
        reasons["latency_ms.stdev"] = "one run has no spread"
    return reasons
