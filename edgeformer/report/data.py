"""report.json: what was asked, what was done, what came of it. Plain data, from which report.html is made.

format_version      1
created_at          ISO 8601, UTC. Times and latencies are why a report is not among a bundle's hashed files
bundle_digest       SHA-256 of the manifest.json that this report describes
model, task         name of the model, and its task with labels
notes               what of the model directory was read otherwise than it says, or left out
recipe, recipe_toml the recipe that was carried out, as data and as a file to copy; ``command`` uses it
targets, data       device names; files, their digests, numbers of rows set aside (rows_used), and whether any were
                    read for this compile (used)
metrics             of the uncompressed and the compressed torch model; compressed.statistics compares the two
variants            the manifest's entries with: facts, statistics (against the uncompressed model), latency
examples            some evaluation rows with what each model says of them: ``report.examples``
layers              path, role, format, bits, parameters, size_bytes of every linear and embedding after all passes
passes, stages      name, changed, seconds, facts; name, seconds, resumed, within (the stage that it is part of)
seconds             of the whole compile until this file was written: stages don't add up to it
search              candidates that were tried, with why each was refused, and facts: what they were made from
versions            of the packages that decide about bytes
peak_memory_bytes   of the compiling process

``statistics`` holds samples, drop, drop_interval_95, method, mcnemar (lost, gained, p_value), metric_interval_95 and
claim, a sentence.
What is missing is null, with a ``reason`` beside it. Shares are 0…1, sizes bytes, latencies milliseconds.
"""

from __future__ import annotations

import datetime
import platform
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

from edgeformer_converters.base import CONVERTERS, get_converter, quantized_layers
from edgeformer_runtime.bundle.manifest import Manifest
from edgeformer_runtime.device.facts import peak_rss_bytes

from ..apps.needs import bundle_bytes_by_part
from ..evaluation.paired import claim_of_facts, paired_facts, wilson_interval
from ..families import architecture_for
from ..model.base import Model
from ..model.layers import quantizable_layers
from ..passes.quantize import FLOAT
from ..passes.trim_vocabulary import TrimVocabulary
from ..recipe import Recipe
from ..stages import Stages
from ..variants.export import Exported
from ..variants.latency import UNCOMPRESSED
from ..variants.search import Attempt
from ..variants.verification import measure
from .examples import examples

if TYPE_CHECKING:
    from ..variants.outcome import Outcome

FORMAT_VERSION = 1
_FRAMEWORKS = ("torch", "transformers", "numpy")
_NOT_KEPT = "the outputs of single samples were not kept by verification"


def build_report(outcome: Outcome, manifest: Manifest, bundle_digest: str, stages: Stages) -> dict[str, Any]:
    """The content of report.json for a result that is about to be published."""
    return {
        "format_version": FORMAT_VERSION,
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "producer": manifest.producer,
        "bundle_digest": bundle_digest,
        "bundle_bytes": sum(bundle_bytes_by_part(manifest).values()),
        "model": manifest.name,
        "task": asdict(manifest.task),
        "notes": list(outcome.pipeline.model.notes),
        "command": _command(outcome, manifest),
        "recipe": outcome.recipe.to_dict(),
        "recipe_toml": outcome.recipe.to_toml(),
        "targets": [target.name for target in outcome.targets],
        "data": _data(outcome),
        "metrics": _metrics(outcome, manifest),
        "variants": [_variant(item, outcome) for item in outcome.variants],
        "examples": examples(outcome),
        "layers": layer_formats(outcome.pipeline.model),
        "passes": [asdict(record) for record in outcome.pipeline.records],
        "search": {
            "candidates": _candidates(outcome),
            "facts": dict(outcome.attempts[-1].candidate.facts) if outcome.attempts else {},
        },
        "stages": [asdict(record) for record in stages.records],
        "seconds": round(stages.wall_seconds, 3),
        "versions": {"python": platform.python_version(), **_versions()},
        "peak_memory_bytes": peak_rss_bytes(),
    }


def _data(outcome: Outcome) -> dict[str, Any]:
    """The facts of the rows, with whether anything was chosen, learned, compared or judged on them."""
    data = outcome.data
    used = {name for name in ("calibration", "training", "validation") if getattr(data, name).used}
    for step in outcome.recipe.steps:
        if isinstance(step, TrimVocabulary):  # it reads texts, not tokens
            used |= {"calibration", "training", "validation"} if step.use_rows else {"validation"}
    judged = {"evaluation"} if "evaluation" in data.facts else set()
    return {
        name: {**facts, "used": name in used | judged and bool(facts.get("rows_used", facts.get("rows")))}
        for name, facts in data.facts.items()
    }


def layer_formats(model: Model) -> list[dict[str, Any]]:
    """Every linear and embedding of a model, quantized or not, in the model's order."""
    architecture = architecture_for(model.architecture)
    quantized, floats = quantized_layers(model.module), quantizable_layers(model.module)
    rows: list[dict[str, Any]] = []
    for path, _ in model.module.named_modules():
        if path in quantized:
            weight = quantized[path].integer_weight()
            format_, bits, count = str(weight.format), int(weight.format.bits), weight.integers.size
        elif path in floats:
            format_, bits, count = FLOAT, 32, floats[path].weight.numel()  # type: ignore[operator]
        else:
            continue
        rows.append(
            {
                "path": path,
                "role": architecture.role(path),
                "format": format_,
                "bits": bits,
                "parameters": int(count),
                "size_bytes": int(count) * bits // 8,  # of the weights alone: scales and biases are beside
            }
        )
    return rows


def _metrics(outcome: Outcome, manifest: Manifest) -> dict[str, Any]:
    """The manifest's figures, and the compressed torch model compared with the uncompressed one, row by row."""
    reference = outcome.compressed[None].reference
    model, gate = outcome.pipeline.model, outcome.recipe.gate
    before = measure(model.task, reference.uncompressed, reference.uncompressed_samples)
    after = measure(model.task, reference.compressed, reference.samples)
    found = dict(manifest.metrics)
    statistics: dict[str, Any] = {"reason": "no labelled evaluation data was given", "claim": None}
    if before is not None and after is not None:
        statistics = _with_claim(paired_facts(before.per_sample, after.per_sample), after.name, gate.max_drop)
    found["compressed"] = {**found.get("compressed", {}), "statistics": statistics}
    found["uncompressed"] = {**found.get("uncompressed", {}), "latency": _latency(outcome, UNCOMPRESSED)}
    return found


def _variant(item: Exported, outcome: Outcome) -> dict[str, Any]:
    facts = dict(item.facts)
    check = item.entry.verification
    given = facts.pop("statistics", None)
    facts.pop("predictions", None)  # of every row: ``examples`` holds some
    if check is None or check.metric_name is None:
        statistics: dict[str, Any] = {"reason": "no labelled evaluation data was given", "claim": None}
    elif given is None:
        statistics = {"reason": _NOT_KEPT, "claim": None}
    else:
        statistics = _with_claim(given, check.metric_name, outcome.recipe.gate.max_drop)
    return {
        **asdict(item.entry),
        "facts": facts,
        "statistics": statistics,
        "latency": _latency(outcome, item.entry.name),
    }


def _latency(outcome: Outcome, name: str) -> dict[str, Any]:
    found = outcome.latencies.get(name)
    return {"median_ms": None, "reason": "was not measured"} if found is None else asdict(found)


def _with_claim(facts: Mapping[str, Any], metric_name: str, allowed: float | None) -> dict[str, Any]:
    return {**facts, "claim": claim_of_facts(metric_name, facts, allowed)}


def _candidates(outcome: Outcome) -> list[dict[str, Any]]:
    """Every attempt, or what was published where the caller kept no attempts."""
    if outcome.attempts:
        chosen = outcome.attempts[-1]  # a compile stops at the first that is accepted
        return [_candidate(attempt, attempt is chosen, outcome.recipe) for attempt in outcome.attempts]
    entries = [item.entry for item in outcome.variants]
    timed = [x.median_ms for name, x in outcome.latencies.items() if name != UNCOMPRESSED and x.median_ms is not None]
    checks = [entry.verification for entry in entries if entry.verification is not None]
    worst = min((check for check in checks if check.metric is not None), key=lambda c: c.metric or 0, default=None)
    return [
        {
            "name": "the recipe",
            "size_bytes": max(entry.size_bytes for entry in entries),
            "latency_ms": max(timed, default=None),
            "metric": None if worst is None else worst.metric,
            "metric_interval_95": _interval(worst),
            "chosen": True,
            "refused_because": [],
        }
    ]


def _candidate(attempt: Attempt, chosen: bool, published: Recipe) -> dict[str, Any]:
    facts = attempt.facts(chosen)
    if facts.get("recipe") == published.to_dict():
        facts.pop("recipe")  # it is the report's own
    checks = [item.entry.verification for item in attempt.variants if item.entry.verification is not None]
    worst = min((check for check in checks if check.metric is not None), key=lambda c: c.metric or 0, default=None)
    return {**facts, "metric_interval_95": _interval(worst)}


def _interval(check: Any) -> tuple[float, float] | None:
    """Wilson's interval of an accuracy over whole samples; None for any other metric."""
    if check is None or check.metric_name not in ("accuracy", "exact_match"):
        return None
    return wilson_interval(round(check.metric * check.samples), check.samples)


def _command(outcome: Outcome, manifest: Manifest) -> str:
    words = ["edgeformer", "compile", manifest.name, "-o", "BUNDLE", "--recipe", "recipe.toml"]
    for target in outcome.targets:
        words += ["--device", target.name]
    for purpose in ("calibration", "training", "evaluation"):
        file = outcome.data.facts.get(purpose, {}).get("file")
        if file:
            words += [f"--{purpose}", file]
    return shlex.join(words)


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    backends = [name for key in CONVERTERS for name in get_converter(key).distributions]
    for name in dict.fromkeys((*_FRAMEWORKS, *backends)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
