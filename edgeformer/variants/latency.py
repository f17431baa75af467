"""Latencies of exported variants in the engines that devices use, on this machine: no device's figures.

All variants, and the uncompressed model in ONNX Runtime, run in turns, so that a change of the machine's load meets all
of them; ``faster_by`` is the median of the ratios within a turn.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeformer_runtime.bundle.manifest import SEQUENCE, VariantEntry
from edgeformer_runtime.measuring.steadiness import MIN_WARMUP_RUNS, warm_up
from edgeformer_runtime.measuring.turns import in_turns
from edgeformer_runtime.variants.feeds import inputs_of_prediction, synthetic_feeds
from edgeformer_runtime.variants.graphs import Runner

from ..data.encoding import device_preprocess
from ..model.base import Model
from .verification import open_variant

TURNS, RUNS_A_TURN = 5, 10
TURN_S, WARM_UP_S = 3.0, 10.0  # of one contestant; thousands of tokens take seconds a run
UNCOMPRESSED = "uncompressed"


@dataclass(frozen=True)
class Contestant:
    """An exported file and the model that it came from."""

    model: Model
    entry: VariantEntry
    file: Callable[[str], Path]  # a model file of the bundle -> where it lies


@dataclass(frozen=True)
class VariantLatency:
    """Median of single rows at one length; ``median_ms`` is None with a ``reason`` where nothing could be timed.

    ``faster_by`` compares with the uncompressed model in ONNX Runtime; None where that wasn't timed.
    """

    median_ms: float | None
    reason: str | None = None
    engine: str | None = None
    machine: str | None = None
    threads: int | None = None
    sequence_length: int | None = None
    runs: int = 0
    faster_by: float | None = None


def measure_latencies(
    contestants: Mapping[str, Contestant], lengths: Sequence[int], threads: int
) -> dict[str, VariantLatency]:
    """Warm up each, then time single rows at the longest of ``lengths`` in turns; slow ones run less often in a turn.

    Args:
        contestants: by name; the one named ``UNCOMPRESSED``, where there is one, is what ``faster_by`` refers to.
        lengths: static lengths in tokens; () for models without a sequence.
        threads: of every engine.
    """
    length = max(lengths) if lengths else None
    found: dict[str, VariantLatency] = {}
    runners: dict[str, Runner] = {}
    try:
        for name, item in contestants.items():
            runner, on_device = open_variant(item.model.signature, item.entry, item.file, threads)
            if on_device:
                runners[name] = runner
                continue
            runner.close()
            found[name] = VariantLatency(None, f"no engine here runs {item.entry.format} as a device does")
        turns, runs = _in_turns({name: (runners[name], contestants[name].model) for name in runners}, length)
        labels = {name: runner.label for name, runner in runners.items()}
    finally:
        for runner in runners.values():
            runner.close()
    base = turns.get(UNCOMPRESSED)
    for name, medians in turns.items():
        found[name] = VariantLatency(
            median_ms=statistics.median(medians),
            engine=labels[name],
            machine=platform.machine(),
            threads=threads,
            sequence_length=length,
            runs=TURNS * runs[name],
            faster_by=statistics.median(b / m for b, m in zip(base, medians, strict=True)) if base else None,
        )
    return {name: found[name] for name in contestants}


def _in_turns(
    runners: Mapping[str, tuple[Runner, Model]], length: int | None
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Median milliseconds of each in each turn, and how many runs a turn of each has."""
    calls = {name: _call(runner, model, length) for name, (runner, model) in runners.items()}
    runs = {name: _prepare(call) for name, call in calls.items()}
    timed = in_turns(calls, TURNS, runs=runs, unwatched={name: int(count > 1) for name, count in runs.items()})
    return {name: [statistics.median(turn) for turn in found] for name, found in timed.latencies_ms.items()}, runs


def _call(runner: Runner, model: Model, length: int | None) -> Callable[[], object]:
    kinds = [item.kind for item in device_preprocess(model.signature, length or 1)]
    inputs = inputs_of_prediction(model.task, kinds, model.inputs)
    feeds = synthetic_feeds(inputs, {} if length is None else {SEQUENCE: length})
    return lambda: runner.run(feeds)


def _prepare(call: Callable[[], object]) -> int:
    """Warm up; returns how many runs fit into a turn: RUNS_A_TURN, or one where a run is slow."""
    call()
    start = time.perf_counter()
    call()
    run_s = time.perf_counter() - start
    if MIN_WARMUP_RUNS * run_s < WARM_UP_S:  # with longer runs those two were seconds of warming up already
        warm_up(call, max_s=WARM_UP_S)
    return max(1, min(RUNS_A_TURN, int(TURN_S / run_s)))
