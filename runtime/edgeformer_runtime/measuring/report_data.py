"""Report: one measurement of one variant on one device, with all that it takes to compare it with another.

What was not measured is None, and ``reasons`` says why; nothing is ever filled in with 0.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from ..device.facts import DeviceFacts
from ..errors import InputError
from ..power.base import PowerReading
from .findings import Accuracy, CpuClock, Energy, Idle, Interval, Load, Repeat, Sampling, Sustained, Thermal, Throttling
from .timing import MIN_RUNS_FOR_P99

REPORT_VERSION = 2


@dataclass(frozen=True)
class LatencySummary:
    """Latencies in milliseconds; percentiles interpolate linearly. p99 is None below 1,000 runs."""

    mean: float
    stdev: Optional[float]  # of the sample; None for a single run
    min: float
    p50: float
    p90: float
    p95: float
    p99: Optional[float]
    max: float


def summarize(latencies_ms: Tuple[float, ...]) -> LatencySummary:
    """Statistics of at least one latency; raises InputError for none, or for what isn't a duration."""
    values = np.asarray(latencies_ms, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all() or (values < 0).any():
        raise InputError("latencies_ms: expected at least one duration of 0 ms or more, all of them finite")
    p50, p90, p95, p99 = (float(value) for value in np.percentile(values, [50, 90, 95, 99]))
    return LatencySummary(
        mean=float(values.mean()),
        stdev=float(values.std(ddof=1)) if values.size > 1 else None,
        min=float(values.min()),
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99 if values.size >= MIN_RUNS_FOR_P99 else None,
        max=float(values.max()),
    )


@dataclass(frozen=True)
class ReportData:
    """A benchmark of one variant. Times in milliseconds unless named otherwise, memory in bytes.

    ``invalid`` says why the figures don't count, and is empty when they do. The parts from ``repeats`` on are those
    of ``findings``; a report of version 1 has none of them.
    """

    bundle_name: str
    bundle_digest: str  # SHA-256 of manifest.json
    variant: str
    engine: str  # label: package, version, and what it runs on
    threads: int
    batch_size: int
    sequence_length: Optional[int]  # positions in each timed run
    warmup_runs: int
    warmup_settled: bool  # False: latency was still moving when the warm-up was cut off
    duration_s: float  # of the timed loop
    latencies_ms: Tuple[float, ...]  # raw, in order
    load_ms: float
    first_inference_ms: Optional[float]
    peak_rss_bytes: Optional[int]
    peak_rss_growth_bytes: Optional[int]  # of the peak, from before the variant was loaded
    temperature_c: Optional[float]  # the highest during the timed loop
    power: PowerReading  # mean over the timed loop
    device: DeviceFacts
    started_at: str  # UTC, ISO 8601
    runtime_version: str
    delegation: Tuple[str, ...] = ()
    skipped: Tuple[str, ...] = ()  # variants that were not used, each with its reason
    reasons: Mapping[str, str] = field(default_factory=dict)  # field that is None -> why
    protocol: str = "version 1"
    latencies_kept_every: int = 1  # 10: ``latencies_ms`` holds every tenth run
    total_runs: Optional[int] = None  # None: as many as ``latencies_ms`` holds
    repeats: Tuple[Repeat, ...] = ()
    p50_interval: Optional[Interval] = None
    energy: Optional[Energy] = None
    idle_before: Optional[Idle] = None
    idle_after: Optional[Idle] = None
    thermal: Optional[Thermal] = None
    clock: Optional[CpuClock] = None
    throttling: Optional[Throttling] = None
    load: Optional[Load] = None
    sampling: Optional[Sampling] = None
    sustained: Optional[Sustained] = None
    accuracy: Optional[Accuracy] = None
    invalid: Tuple[str, ...] = ()
    notes: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        summarize(self.latencies_ms)
        if not self.duration_s > 0:
            raise InputError(f"report: duration_s {self.duration_s}: expected the seconds that the timed loop took")
        if self.latencies_kept_every < 1 or not (self.total_runs is None or self.total_runs >= len(self.latencies_ms)):
            raise InputError(
                f"report: total_runs {self.total_runs}, one of {self.latencies_kept_every} kept: expected at least the "
                f"{len(self.latencies_ms)} latencies that it holds"
            )
        windows = self.sustained.windows if self.sustained is not None else ()
        amounts = [(part.runs, part.duration_s) for part in self.repeats]
        amounts += [(part.runs, part.duration_s) for part in windows]
        if any(runs < 1 or not seconds > 0 for runs, seconds in amounts):
            raise InputError("report: a repeat or a window without runs or without a duration")
        if self.sustained is not None and not (self.sustained.windows and self.sustained.first_per_s > 0):
            raise InputError("report: sustained: expected windows with a throughput")

    @property
    def latency_ms(self) -> LatencySummary:
        """Statistics of ``latencies_ms``."""
        return summarize(self.latencies_ms)

    @property
    def runs(self) -> int:
        """Timed runs."""
        return len(self.latencies_ms) if self.total_runs is None else self.total_runs

    @property
    def throughput_per_s(self) -> float:
        """Rows a second over the timed loop."""
        return self.runs * self.batch_size / self.duration_s

    @property
    def valid(self) -> bool:
        """Whether the figures count."""
        return not self.invalid

    def to_dict(self) -> Dict[str, Any]:
        """Plain JSON data: the fields, and what is derived from them."""
        return {
            "report_version": REPORT_VERSION,
            **asdict(self),
            "runs": self.runs,
            "latency_ms": asdict(self.latency_ms),
            "throughput_per_s": self.throughput_per_s,
            "valid": self.valid,
        }

    def to_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(self.to_dict(), indent=1, sort_keys=True, allow_nan=False) + "\n"
