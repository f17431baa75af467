"""Which variant of a bundle to run here: of those that can run, the fastest, by measuring."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from .bundle import Bundle
from .cache import read_entry, write_entry
from .engines import get_engine
from .engines.base import Availability
from .errors import EngineError
from .execution import VariantRunner
from .manifest import VariantEntry
from .measure import middle_sequence_length, synthetic_feeds
from .system import probe

TRIAL_WARMUP_RUNS = 3
TRIAL_RUNS = 7
_CACHE_NAME = "variant-choice.json"
_MAX_REMEMBERED = 200


@dataclass(frozen=True)
class Candidate:
    """A variant, and whether an engine here can run it."""

    variant: VariantEntry
    availability: Availability


@dataclass(frozen=True)
class Loaded:
    """A variant in memory. ``load_ms`` is what loading took, ``first_inference_ms`` its first run, once there
    was one.
    """

    candidate: Candidate
    runner: VariantRunner
    load_ms: float
    first_inference_ms: Optional[float] = None


def candidates(bundle: Bundle) -> Tuple[Candidate, ...]:
    """Every variant of the bundle with its availability, in the order of the manifest."""
    return tuple(Candidate(variant, _availability(variant)) for variant in bundle.manifest.variants)


def _availability(variant: VariantEntry) -> Availability:
    try:
        return get_engine(variant.engine).availability(variant)
    except EngineError as error:  # an engine of a later release
        return Availability(False, variant.engine, reason=str(error))


def load(bundle: Bundle, candidate: Candidate, threads: int) -> Loaded:
    """Load one variant; raises EngineError with the reason why it can't be used."""
    variant = candidate.variant
    if not candidate.availability.usable:
        raise EngineError(f"variant {variant.name!r} can't run here: {candidate.availability.reason}")
    start = time.perf_counter()
    model = get_engine(variant.engine).load(bundle.variant_path(variant), variant, threads)
    load_ms = (time.perf_counter() - start) * 1e3
    runner = VariantRunner(model, variant, bundle.manifest.inputs, bundle.manifest.outputs)
    return Loaded(candidate, runner, load_ms)


def choose(bundle: Bundle, threads: int) -> Tuple[Loaded, Tuple[str, ...], bool]:
    """The fastest variant here, why others were not used, and whether several were loaded to find out.

    The choice is remembered for this bundle, these engines, this number of threads and this CPU. Raises
    EngineError when nothing is usable, with the reason of each variant.
    """
    found = candidates(bundle)
    skipped = [_reason(candidate, candidate.availability.reason) for candidate in found if not _usable(candidate)]
    usable = [candidate for candidate in found if _usable(candidate)]
    key = _cache_key(bundle, usable, threads)
    remembered = _remembered(key)
    for candidate in usable:
        if len(usable) > 1 and candidate.variant.name == remembered:
            try:
                chosen = load(bundle, candidate, threads)
            except EngineError:
                break  # memory or the file changed since: measure again
            others = [other.variant.name for other in usable if other is not candidate]
            note = f"slower than {remembered} when measured here before"
            return chosen, (*skipped, *(f"{name}: {note}" for name in others)), False
    loaded: List[Loaded] = []
    for candidate in usable:
        try:
            loaded.append(load(bundle, candidate, threads))
        except EngineError as error:
            skipped.append(_reason(candidate, str(error)))
    if len(loaded) == 1:
        return loaded[0], tuple(skipped), False
    ranked, failures = _rank(bundle, loaded)
    skipped += failures
    if not ranked:
        raise EngineError(f"bundle {bundle.manifest.name!r}: no variant can run here: " + "; ".join(skipped))
    best, best_ms = ranked[0]
    for other, median_ms in ranked[1:]:
        name = other.candidate.variant.name
        skipped.append(f"{name}: {median_ms:.3f} ms, slower than {best.candidate.variant.name} at {best_ms:.3f} ms")
        other.runner.close()
    if len(ranked) > 1:
        _remember(key, best.candidate.variant.name)
    return best, tuple(skipped), True


def _usable(candidate: Candidate) -> bool:
    return candidate.availability.usable


def _reason(candidate: Candidate, reason: Optional[str]) -> str:
    return f"{candidate.variant.name}: {reason}"


def _rank(bundle: Bundle, loaded: Sequence[Loaded]) -> Tuple[List[Tuple[Loaded, float]], List[str]]:
    """(loaded, median ms) of what runs, fastest first, and why the rest doesn't. Runs are interleaved, so
    that a device that heats up or is busy for a moment slows all of them alike."""
    variants = tuple(item.candidate.variant for item in loaded)
    feeds = synthetic_feeds(bundle.manifest.inputs, middle_sequence_length(bundle.manifest, variants))
    times_ms: Dict[int, List[float]] = {index: [] for index in range(len(loaded))}
    failures: List[str] = []
    for _ in range(TRIAL_WARMUP_RUNS + TRIAL_RUNS):
        for index in list(times_ms):
            start = time.perf_counter()
            try:
                loaded[index].runner.run(feeds)
            except EngineError as error:
                failures.append(_reason(loaded[index].candidate, str(error)))
                loaded[index].runner.close()
                del times_ms[index]
                continue
            times_ms[index].append((time.perf_counter() - start) * 1e3)
    ranked = []
    for index, values in times_ms.items():
        item = loaded[index]
        tried = Loaded(item.candidate, item.runner, item.load_ms, first_inference_ms=values[0])
        ranked.append((tried, statistics.median(values[TRIAL_WARMUP_RUNS:])))
    return sorted(ranked, key=lambda pair: pair[1]), failures


def _cache_key(bundle: Bundle, usable: Sequence[Candidate], threads: int) -> str:
    facts = probe()
    parts = [
        bundle.digest,
        [[item.variant.name, item.availability.package, item.availability.version] for item in usable],
        threads,
        [facts.machine, facts.cpu_model, list(facts.cpu_features)],
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8")).hexdigest()


def _remembered(key: str) -> Optional[str]:
    name = (read_entry(_CACHE_NAME) or {}).get(key)
    return name if isinstance(name, str) else None


def _remember(key: str, name: str) -> None:
    entries = read_entry(_CACHE_NAME) or {}
    entries.pop(key, None)
    kept = dict(list(entries.items())[-(_MAX_REMEMBERED - 1) :])
    write_entry(_CACHE_NAME, {**kept, key: name})
