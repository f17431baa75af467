"""The measurement protocol: warm up until it is steady, then time a loop and keep every latency."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np

from .errors import InputError
from .execution import BATCH, SEQUENCE
from .manifest import Manifest, TensorSpec, VariantEntry

MIN_WARMUP_RUNS = 10
MAX_WARMUP_RUNS = 1_000
MAX_WARMUP_S = 30.0
STEADY_CHANGE = 0.02  # of the rolling median, between one window and the next
WINDOW_RUNS = 5
DEFAULT_RUNS = 100
MIN_RUNS_FOR_P99 = 1_000
DEFAULT_SEQUENCE_LENGTH = 64  # where the bundle names none

Clock = Callable[[], float]


@dataclass(frozen=True)
class Warmup:
    """How the warm-up went. ``settled`` is False when it was cut off before the median stood still."""

    runs: int
    settled: bool


def warm_up(run: Callable[[], object], clock: Clock = time.perf_counter) -> Warmup:
    """Call ``run`` at least 10 times, then until the median of 5 runs moves less than 2 % from the 5 before.

    It gives up after 1,000 runs or 30 seconds, whichever comes first, but never before 10 runs.
    """
    latencies: List[float] = []
    begin = clock()
    while len(latencies) < MAX_WARMUP_RUNS:
        start = clock()
        run()
        end = clock()
        latencies.append(end - start)
        if len(latencies) < MIN_WARMUP_RUNS:
            continue
        if _is_steady(latencies):
            return Warmup(len(latencies), True)
        if end - begin > MAX_WARMUP_S:
            break
    return Warmup(len(latencies), False)


def _is_steady(latencies: List[float]) -> bool:
    now = statistics.median(latencies[-WINDOW_RUNS:])
    before = statistics.median(latencies[-2 * WINDOW_RUNS : -WINDOW_RUNS])
    return abs(now - before) <= STEADY_CHANGE * before


def timed_loop(
    run: Callable[[], object],
    runs: Optional[int] = None,
    duration_s: Optional[float] = None,
    clock: Clock = time.perf_counter,
) -> Tuple[Tuple[float, ...], float]:
    """Latencies in milliseconds, one a call of ``run``, and the duration of the whole loop in seconds.

    Ends after ``runs`` calls or, with ``duration_s``, once so much time has passed; given both, when the
    first of them is reached; given neither, after 100 runs.
    """
    check_amount(runs, duration_s)
    limit = runs if runs is not None else (DEFAULT_RUNS if duration_s is None else None)
    latencies_ms: List[float] = []
    begin = clock()
    while True:
        start = clock()
        run()
        end = clock()
        latencies_ms.append((end - start) * 1e3)
        if limit is not None and len(latencies_ms) >= limit:
            break
        if duration_s is not None and end - begin >= duration_s:
            break
    return tuple(latencies_ms), end - begin


def check_amount(runs: Optional[int], duration_s: Optional[float]) -> None:
    """Raise InputError unless ``runs`` and ``duration_s`` are positive where given."""
    if runs is not None and runs < 1:
        raise InputError(f"runs {runs}: expected at least 1")
    if duration_s is not None and not 0 < duration_s < float("inf"):
        raise InputError(f"duration {duration_s} s: expected a positive number of seconds")


def middle_sequence_length(manifest: Manifest, variants: Tuple[VariantEntry, ...]) -> Optional[int]:
    """A typical length that all of ``variants`` take; None when no input has a sequence."""
    if not any(SEQUENCE in spec.shape for spec in manifest.inputs):
        return None
    lengths = sorted({length for variant in variants for length in variant.sequence_lengths})
    if not lengths:
        longest = manifest.preprocess.max_length if manifest.preprocess is not None else None
        return DEFAULT_SEQUENCE_LENGTH if longest is None else min(DEFAULT_SEQUENCE_LENGTH, longest)
    bound = min(max(variant.sequence_lengths) for variant in variants if variant.sequence_lengths)
    return min(lengths[len(lengths) // 2], bound)


def synthetic_feeds(inputs: Tuple[TensorSpec, ...], sequence_length: Optional[int]) -> Dict[str, np.ndarray]:
    """One row of valid input: {name: array}. Latency of a transformer depends on its shape, hardly on its
    content.

    Integers are the smallest that isn't padding, 0 for token types (many models have one type only); floats
    are normally distributed with a fixed seed. Dimensions other than batch and sequence are 1 where they are
    named.
    """
    sizes = {BATCH: 1, SEQUENCE: sequence_length or 1}
    generator = np.random.default_rng(0)
    feeds: Dict[str, np.ndarray] = {}
    for spec in inputs:
        shape = tuple(sizes.get(dim, 1) if isinstance(dim, str) else dim for dim in spec.shape)
        if np.dtype(spec.dtype).kind == "f":
            feeds[spec.name] = generator.standard_normal(shape).astype(spec.dtype)
        else:
            value = 0 if spec.name == "token_type_ids" or spec.pad_value != 0 else 1
            feeds[spec.name] = np.full(shape, value, dtype=spec.dtype)
    return feeds
