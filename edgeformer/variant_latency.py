"""Latency of an exported variant in the engine that devices use, on this machine: not a device's figure."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeformer_runtime.execution import VariantRunner
from edgeformer_runtime.manifest import VariantEntry
from edgeformer_runtime.measure import synthetic_feeds, timed_loop, warm_up

from .model import Model
from .verification import open_variant

RUNS = 50


@dataclass(frozen=True)
class VariantLatency:
    """Median of single rows at one length; ``median_ms`` is None with a ``reason`` where nothing could be timed."""

    median_ms: float | None
    reason: str | None = None
    engine: str | None = None
    machine: str | None = None
    threads: int | None = None
    sequence_length: int | None = None
    runs: int = 0


def measure_latency(
    model: Model, entry: VariantEntry, path: Path, lengths: Sequence[int], threads: int
) -> VariantLatency:
    """Warm up, then the median of 50 single rows at the longest of ``lengths``."""
    loaded, on_device = open_variant(entry, path, threads)
    runner = VariantRunner(loaded, entry, model.inputs, model.outputs)
    try:
        if not on_device:
            return VariantLatency(None, f"no engine here runs {entry.format} as a device does")
        length = max(lengths) if lengths else None
        feeds = synthetic_feeds(model.inputs, length)
        warm_up(lambda: runner.run(feeds))
        latencies_ms, _ = timed_loop(lambda: runner.run(feeds), RUNS)
    finally:
        runner.close()
    return VariantLatency(
        median_ms=statistics.median(latencies_ms),
        engine=loaded.label,
        machine=platform.machine(),
        threads=threads,
        sequence_length=length,
        runs=len(latencies_ms),
    )
