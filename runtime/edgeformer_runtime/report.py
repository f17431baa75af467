"""Report: one measurement of one variant on one device, with all that it takes to compare it with another.

What was not measured is None, and ``reasons`` says why; nothing is ever filled in with 0.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from .errors import InputError, SensorError
from .measure import MIN_RUNS_FOR_P99
from .power.base import Place, PowerReading
from .system import DeviceFacts

REPORT_VERSION = 1


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
class Report:
    """A benchmark of one variant. Times in milliseconds unless named otherwise, memory in bytes."""

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
    temperature_c: Optional[float]
    power: PowerReading
    device: DeviceFacts
    started_at: str  # UTC, ISO 8601
    runtime_version: str
    delegation: Tuple[str, ...] = ()
    skipped: Tuple[str, ...] = ()  # variants that were not used, each with its reason
    reasons: Mapping[str, str] = field(default_factory=dict)  # field that is None -> why

    def __post_init__(self) -> None:
        summarize(self.latencies_ms)
        if not self.duration_s > 0:
            raise InputError(f"report: duration_s {self.duration_s}: expected the seconds that the timed loop took")

    @property
    def latency_ms(self) -> LatencySummary:
        """Statistics of ``latencies_ms``."""
        return summarize(self.latencies_ms)

    @property
    def runs(self) -> int:
        """Timed runs."""
        return len(self.latencies_ms)

    @property
    def throughput_per_s(self) -> float:
        """Rows a second over the timed loop."""
        return self.runs * self.batch_size / self.duration_s

    def to_dict(self) -> Dict[str, Any]:
        """Plain JSON data: the fields, and what is derived from them."""
        return {
            "report_version": REPORT_VERSION,
            **asdict(self),
            "runs": self.runs,
            "latency_ms": asdict(self.latency_ms),
            "throughput_per_s": self.throughput_per_s,
        }

    def to_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(self.to_dict(), indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what ``to_json`` wrote; derived values are computed again. Raises InputError."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"report: not JSON: {error}") from error
        if not isinstance(value, dict) or value.get("report_version") != REPORT_VERSION:
            raise InputError(f"report: expected report_version {REPORT_VERSION}: it was made by another release")
        known = {item.name for item in fields(cls)}
        data = {key: item for key, item in value.items() if key in known}
        try:
            data["device"] = DeviceFacts(**_tuples(data["device"], "cpu_features"))
            places = tuple(Place(**place) for place in data["power"]["looked_at"])
            data["power"] = PowerReading(**{**data["power"], "looked_at": places})
            return cls(**_tuples(data, "latencies_ms", "delegation", "skipped"))
        except (KeyError, TypeError, ValueError, SensorError) as error:
            raise InputError(f"report: a field is missing or of the wrong type: {error}") from error

    def table(self) -> str:
        """The report for a terminal."""
        latency = self.latency_ms
        rows = [
            ("bundle", f"{self.bundle_name} ({self.bundle_digest[:12]})"),
            ("variant", self.variant),
            ("engine", f"{self.engine}, {self.threads} thread{'s' if self.threads > 1 else ''}"),
            ("device", self.device.device_model or self.device.cpu_model or self.device.machine or "unknown"),
            ("input", f"batch {self.batch_size}" + self._sequence_text()),
            ("latency p50", self._ms("p50", latency.p50)),
            ("latency p90", self._ms("p90", latency.p90)),
            ("latency p95", self._ms("p95", latency.p95)),
            ("latency p99", self._ms("latency_ms.p99", latency.p99)),
            ("mean ± stdev", f"{latency.mean:.3f} ± {_number(latency.stdev)} ms over {self.runs} runs"),
            ("throughput", f"{self.throughput_per_s:.1f} per s"),
            ("load", f"{self.load_ms:.1f} ms"),
            ("first inference", self._ms("first_inference_ms", self.first_inference_ms)),
            ("peak memory", self._mib("peak_rss_bytes", self.peak_rss_bytes)),
            ("  of it grown", self._mib("peak_rss_growth_bytes", self.peak_rss_growth_bytes)),
            ("temperature", self._value("temperature_c", self.temperature_c, "°C")),
            ("power", self._power_text()),
        ]
        notes = [] if self.warmup_settled else ["latency was still moving after the warm-up: other load on the device?"]
        lines = [f"{name:<16}{text}" for name, text in rows]
        lines += [f"note            {text}" for text in (*notes, *self.delegation)]
        lines += [f"not used        {text}" for text in self.skipped]
        return "\n".join(lines)

    def _sequence_text(self) -> str:
        return "" if self.sequence_length is None else f", sequence length {self.sequence_length}"

    def _value(self, name: str, value: Optional[float], unit: str) -> str:
        return f"{value:.3f} {unit}" if value is not None else f"- ({self.reasons.get(name, 'not measured')})"

    def _ms(self, name: str, value: Optional[float]) -> str:
        return self._value(name, value, "ms")

    def _mib(self, name: str, value: Optional[int]) -> str:
        return self._value(name, None if value is None else value / 2**20, "MiB")

    def _power_text(self) -> str:
        if self.power.watts is None:
            return f"unavailable ({self.power.reason})"
        return f"{self.power.watts:.3f} W {self.power.status}, {self.power.scope}"


def _number(value: Optional[float]) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _tuples(data: Mapping[str, Any], *names: str) -> Dict[str, Any]:
    return {**data, **{name: tuple(data[name]) for name in names if name in data}}
