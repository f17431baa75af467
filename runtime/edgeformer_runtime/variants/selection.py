"""Which variant of a bundle to run here: of those that can run, the fastest, by measuring."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import List, Optional, Sequence, Tuple

from ..bundle.bundle import Bundle
from ..bundle.manifest import VariantEntry
from ..device import memory
from ..device.facts import probe
from ..engines import ENGINES, chain, get_engine, memory_need, runs_on_gpu
from ..engines.base import Availability, LoadedModel, Say, to_stderr
from ..errors import EngineError, InputError
from ..files.cache import read_entry, write_entry
from ..measuring.turns import in_turns
from .feeds import prediction_inputs, synthetic_feeds, typical_sizes
from .graphs import Runner, cannot_run, open_runner
from .self_check import MODES, SelfCheck, self_check

TRIAL_WARMUP_RUNS = 3
TRIAL_RUNS = 7
_CACHE_NAME = "variant-choice.json"
_MAX_REMEMBERED = 200


@dataclass(frozen=True)
class LoadOptions:
    """How to load. ``engine``: one of ENGINES, or "auto"; ``self_check``: one of self_check.MODES; ``ignore_memory``:
    load what doesn't seem to fit; ``say``: called with a sentence when something takes minutes.
    """

    engine: str = "auto"
    self_check: str = "first"
    ignore_memory: bool = False
    say: Say = to_stderr

    def __post_init__(self) -> None:
        if self.engine not in ("auto", *ENGINES):
            raise InputError(f"engine {self.engine!r}: expected auto, {', '.join(ENGINES)}")
        if self.self_check not in MODES:
            raise InputError(f"self_check {self.self_check!r}: expected one of {', '.join(MODES)}")


@dataclass(frozen=True)
class Candidate:
    """A variant, and whether an engine here can run it.

    ``availability`` is that of the first engine of the variant's chain that can, else of its own engine. ``behind``
    are engines to try where that one fails, ``passed_over`` those before it, with the reasons.
    """

    variant: VariantEntry
    availability: Availability
    behind: Tuple[Availability, ...] = ()
    passed_over: Tuple[str, ...] = ()

    @property
    def is_last_resort(self) -> bool:
        """Made for a GPU and about to run on the CPU: right, and slower than a variant made for it."""
        return runs_on_gpu(self.variant.engine) and not runs_on_gpu(self.availability.engine)


@dataclass(frozen=True)
class Loaded:
    """A variant in memory. ``load_ms`` is what loading took, ``first_inference_ms`` its first run, once there
    was one; ``passed_over`` says which better engines were not used and why, ``check`` how the self-check went.
    """

    candidate: Candidate
    runner: Runner
    load_ms: float
    first_inference_ms: Optional[float] = None
    passed_over: Tuple[str, ...] = ()
    check: Optional[SelfCheck] = None


def candidates(bundle: Bundle, engine: str = "auto") -> Tuple[Candidate, ...]:
    """Every variant of the bundle with its availability, in the order of the manifest."""
    return tuple(_candidate(variant, engine) for variant in bundle.manifest.variants)


def _candidate(variant: VariantEntry, engine: str) -> Candidate:
    names = chain(variant.engine)
    reason = cannot_run(variant)
    if reason:
        return Candidate(variant, Availability(False, variant.engine, reason=reason))
    if engine != "auto":
        on_request = ENGINES[variant.engine].on_request if variant.engine in ENGINES else ()
        if engine not in (*names, *on_request):
            reason = f"engine {engine} was asked for, and doesn't run variants made for {variant.engine}"
            return Candidate(variant, Availability(False, engine, reason=reason))
        names = (engine,)
    found = [_availability(name, variant) for name in names]
    reasons = [f"{item.engine}: {item.reason}" for item in found if not item.usable]
    usable = [item for item in found if item.usable]
    if not usable:
        if len({item.reason for item in found}) == 1:  # the package that all of them come from is missing
            return Candidate(variant, found[0])
        return Candidate(variant, replace(found[0], reason="; ".join(reasons)))
    before = found.index(usable[0])
    return Candidate(variant, usable[0], tuple(usable[1:]), tuple(reasons[:before]))


def _availability(engine: str, variant: VariantEntry) -> Availability:
    try:
        return get_engine(engine).availability(variant)
    except EngineError as error:  # an engine of a later release
        return Availability(False, engine, reason=str(error))


def load(bundle: Bundle, candidate: Candidate, threads: int, options: Optional[LoadOptions] = None) -> Loaded:
    """Load one variant on the first engine of its chain that gives right results; EngineError with each reason."""
    variant, options = candidate.variant, options or LoadOptions()
    if not candidate.availability.usable:
        raise EngineError(f"variant {variant.name!r} can't run here: {candidate.availability.reason}")
    problems = list(candidate.passed_over)
    engines = (candidate.availability, *candidate.behind)
    for found in engines:
        try:
            loaded = _load_on(bundle, replace(candidate, availability=found), threads, options)
        except EngineError as error:
            if len(engines) == 1:
                raise
            problems.append(f"{found.engine}: {error}")
            continue
        notes = tuple(f"{variant.name}: not on {problem}; runs on {found.engine} instead" for problem in problems)
        return replace(loaded, passed_over=notes)
    raise EngineError(f"variant {variant.name!r} can't run here: " + "; ".join(problems))


def _load_on(bundle: Bundle, candidate: Candidate, threads: int, options: LoadOptions) -> Loaded:
    variant, found = candidate.variant, candidate.availability
    if not options.ignore_memory:
        memory.check(bundle.digest, variant, memory_need(variant), memory.free_bytes())
    before = memory.process_bytes()
    start = time.perf_counter()

    def load_graph(place: str, entry: VariantEntry) -> LoadedModel:
        with bundle.loadable(place) as path:  # what is loaded is what was hashed
            return get_engine(found.engine).load(path, entry, threads, options.say)

    runner = open_runner(variant, bundle.manifest.inputs, bundle.manifest.outputs, load_graph)
    load_ms = (time.perf_counter() - start) * 1e3
    try:
        check = self_check(bundle, runner, found.detail, options.self_check)
    except BaseException:
        runner.close()
        raise
    if found.engine == variant.engine:
        _remember_memory(bundle, variant, before)
    return Loaded(candidate, runner, load_ms, check.first_inference_ms, check=check)


def _remember_memory(bundle: Bundle, variant: VariantEntry, before: Tuple[Optional[int], Optional[int]]) -> None:
    """Keep what loading took, where the kernel tells: only a new peak shows how high it went."""
    after = memory.process_bytes()
    if None in before or None in after:
        return
    (rss_before, peak_before), (rss, peak) = before, after
    if rss_before and peak_before and rss and peak and peak > peak_before and rss > rss_before:
        memory.remember(bundle.digest, variant, peak - rss_before, rss - rss_before)


def choose(bundle: Bundle, threads: int, options: Optional[LoadOptions] = None) -> Tuple[Loaded, Tuple[str, ...], bool]:
    """The fastest variant here, why others were not used, and whether several were loaded to find out.

    The choice is remembered for this bundle, these engines with their kernels and GPUs, this number of threads and
    this CPU. Raises EngineError when nothing is usable, with the reason of each variant.
    """
    options = options or LoadOptions()
    found = candidates(bundle, options.engine)
    skipped = [f"{item.name}: {item.reason}" for item in bundle.manifest.skipped_parts("variant")]
    skipped += [_reason(item, item.availability.reason) for item in found if not item.availability.usable]
    usable = [item for item in found if item.availability.usable and not item.is_last_resort]
    last = [item for item in found if item.availability.usable and item.is_last_resort]
    key = _cache_key(bundle, usable, threads)
    remembered = _remembered(key)
    for candidate in usable:
        if len(usable) > 1 and candidate.variant.name == remembered:
            try:
                chosen = load(bundle, candidate, threads, options)
            except EngineError:
                break  # memory or the file changed since: measure again
            note = f"slower than {remembered} when measured here before"
            others = tuple(_reason(other, note) for other in usable if other is not candidate)
            return chosen, (*skipped, *_unused(last), *chosen.passed_over, *others), False
    loaded = _load_all(bundle, usable, threads, options, skipped)
    if loaded:
        skipped += _unused(last)
    else:
        loaded = _load_all(bundle, last, threads, options, skipped)
    return _fastest(bundle, loaded, skipped, key)


def _load_all(
    bundle: Bundle, wanted: Sequence[Candidate], threads: int, options: LoadOptions, skipped: List[str]
) -> List[Loaded]:
    """Those of ``wanted`` that load and give right results; the others go to ``skipped``."""
    loaded: List[Loaded] = []
    for candidate in wanted:
        try:
            loaded.append(load(bundle, candidate, threads, options))
        except EngineError as error:
            skipped.append(_reason(candidate, str(error)))
    return loaded


def _unused(last: Sequence[Candidate]) -> Tuple[str, ...]:
    """Variants made for a GPU that isn't here, where another variant runs."""
    return tuple(_reason(item, f"{'; '.join(item.passed_over)}; it would run on the CPU, slowly") for item in last)


def _fastest(
    bundle: Bundle, loaded: Sequence[Loaded], skipped: List[str], key: str
) -> Tuple[Loaded, Tuple[str, ...], bool]:
    if len(loaded) == 1:
        return loaded[0], (*skipped, *loaded[0].passed_over), False
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
    return best, (*skipped, *best.passed_over), True


def _reason(candidate: Candidate, reason: Optional[str]) -> str:
    return f"{candidate.variant.name}: {reason}"


def _rank(bundle: Bundle, loaded: Sequence[Loaded]) -> Tuple[List[Tuple[Loaded, float]], List[str]]:
    """(loaded, median ms) of what runs, fastest first, and why the rest doesn't."""
    variants = tuple(item.candidate.variant for item in loaded)
    feeds = synthetic_feeds(prediction_inputs(bundle.manifest), typical_sizes(bundle.manifest, variants))
    calls = {index: partial(item.runner.run, feeds) for index, item in enumerate(loaded)}
    turns = in_turns(calls, TRIAL_WARMUP_RUNS + TRIAL_RUNS, drop=(EngineError,))
    for index in turns.failures:
        loaded[index].runner.close()
    failures = [_reason(loaded[index].candidate, str(error)) for index, error in turns.failures.items()]
    ranked = []
    for index in turns.latencies_ms:
        item, values = loaded[index], turns.all_ms(index)
        first_ms = values[0] if item.first_inference_ms is None else item.first_inference_ms
        ranked.append((replace(item, first_inference_ms=first_ms), statistics.median(values[TRIAL_WARMUP_RUNS:])))
    return sorted(ranked, key=lambda pair: pair[1]), failures


def _cache_key(bundle: Bundle, usable: Sequence[Candidate], threads: int) -> str:
    facts = probe()
    engines = [(item.variant.name, item.availability) for item in usable]
    parts = [
        bundle.digest,
        [[name, found.engine, found.package, found.version, found.detail] for name, found in engines],
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
