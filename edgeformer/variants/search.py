"""Candidates and attempts: the part of a compile that goes on until a budget is met, or says what binds.

A recipe with fixed steps is one candidate. A recipe with an open step (``allocate``) and a budget is a frontier of
them: with ``max_drop`` the most compressed comes first and the first that keeps enough is taken; without it the one
that keeps most comes first, and the first that fits is taken. Candidates are compared on validation rows; evaluation
rows judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgeformer_converters.base import converter_of

from ..data.splits import Rows
from ..errors import GateError, RecipeError
from ..evaluation.paired import paired_drop_interval
from ..model.base import Model
from ..passes.base import OpenPass, PassContext, PipelineResult, run_passes
from ..recipe import Gate, Recipe
from ..tasks import get_task
from .export import Compressed, Exported
from .gate import bundle_too_large, latency_problems, problems
from .latency import UNCOMPRESSED, VariantLatency
from .verification import measure, run_torch

FRONTIER_POINTS = 8


@dataclass(frozen=True)
class Candidate:
    """A recipe without open choices. The prediction is None where nothing was predicted."""

    name: str
    recipe: Recipe
    predicted_damage: float | None = None
    integer_bytes: int | None = None  # of quantized layers alone: a variant's file is never smaller
    is_one_of_many: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)  # what the frontier was made from


@dataclass(frozen=True)
class Attempt:
    """What became of a candidate: its variants where it came so far, and why it may not be published."""

    candidate: Candidate
    pipeline: PipelineResult | None = None
    compressed: Mapping[str | None, Compressed] = field(default_factory=dict)
    variants: tuple[Exported, ...] = ()
    latencies: Mapping[str, VariantLatency] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int | None:
        """Bytes of the largest variant."""
        return max((item.entry.size_bytes for item in self.variants), default=None)

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds of the slowest variant that was timed here."""
        timed = [x.median_ms for name, x in self.latencies.items() if name != UNCOMPRESSED]
        return max((value for value in timed if value is not None), default=None)

    @property
    def metric(self) -> float | None:
        """The lowest metric of any variant."""
        checks = [item.entry.verification for item in self.variants]
        return min((check.metric for check in checks if check and check.metric is not None), default=None)

    def facts(self, chosen: bool) -> dict[str, Any]:
        """For the report."""
        return {
            "name": self.candidate.name,
            "predicted_damage": self.candidate.predicted_damage,
            "integer_bytes": self.candidate.integer_bytes,
            "size_bytes": self.size_bytes,
            "latency_ms": self.latency_ms,
            "metric": self.metric,
            "chosen": chosen,
            "refused_because": list(self.problems),
            "recipe": self.candidate.recipe.to_dict(),
        }


def candidates(model: Model, recipe: Recipe, context: PassContext) -> Iterator[Candidate]:
    """The candidates of a recipe in the order they are to be tried; raises RecipeError for an open choice."""
    found = [(i, step) for i, step in enumerate(recipe.steps) if isinstance(step, OpenPass) and not step.has_budget]
    if not found:
        yield Candidate("the recipe", recipe)
        return
    if len(found) > 1:
        raise RecipeError(
            f"steps {found[0][1].name} and {found[1][1].name} both leave a choice open: state one's budget"
        )
    index, open_step = found[0]
    gate = recipe.gate
    if gate.max_drop is None and gate.variant_bytes is None and gate.max_latency_ms is None:
        raise RecipeError(
            f"step {open_step.name} chooses under a budget, and none was given: add --max-drop, --max-size or "
            "--max-latency"
        )
    before = run_passes(model, recipe.steps[:index], context)
    known = replace(context, uncompressed=before.uncompressed)
    points = open_step.frontier(before.model, known, FRONTIER_POINTS)
    facts = open_step.explain(before.model, known)
    if gate.max_drop is None:
        points = points[::-1]
    for number, point in enumerate(points, start=1):
        steps = (*recipe.steps[:index], *open_step.steps(point), *recipe.steps[index + 1 :])
        yield Candidate(
            name=f"{number} of {len(points)} on the frontier",
            recipe=replace(recipe, steps=steps),
            predicted_damage=point.damage,
            integer_bytes=point.size_bytes,
            is_one_of_many=True,
            facts=facts,
        )


def hopeless(candidate: Candidate) -> list[str]:
    """What is known against a candidate before any work."""
    limit, least = candidate.recipe.gate.variant_bytes, candidate.integer_bytes
    if limit is None or least is None or least <= limit:
        return []
    return [f"its integers alone take {least / 1e6:.2f} MB, at most {limit / 1e6:.2f} MB are allowed"]


def too_bad_on_validation(pipeline: PipelineResult, rows: Rows, gate: Gate) -> list[str]:
    """Whether validation rows already exclude the allowed drop, so that no export is worth its time."""
    if gate.max_drop is None or rows.samples is None or not rows.samples.labelled:
        return []
    values = []
    for model in (pipeline.uncompressed, pipeline.model):
        encoded = rows.encoded(model)
        found = measure(model.task, run_torch(model, encoded.feeds), encoded)
        if found is None or not found.per_sample:
            return []
        values.append(found)
    if len(values[0].per_sample) != len(values[1].per_sample):  # scored by token, of two vocabularies
        return []
    low, high = paired_drop_interval(values[0].per_sample, values[1].per_sample)
    if low <= gate.max_drop:
        return []
    return [
        f"{values[0].name} on {len(rows)} validation rows falls by {low * 100:.2f} to {high * 100:.2f} points "
        f"(95 % interval), at most {gate.max_drop * 100:.2f} are allowed; not exported"
    ]


def judge(variants: Sequence[Exported], latencies: Mapping[str, VariantLatency], gate: Gate) -> tuple[str, ...]:
    """Every reason against publishing these variants."""
    found = [problem for item in variants for problem in problems(item.entry, gate, item.facts.get("statistics"))]
    together = bundle_too_large({item.entry.name: item.entry.size_bytes for item in variants}, gate)
    if together and len(variants) > 1:  # of one alone its own size has said so
        found.append(together)
    return (*found, *latency_problems(latencies, gate))


def passing_formats(attempt: Attempt) -> tuple[str, ...]:
    """The formats of which nothing was refused, in the variants' order; () where all or none were."""
    gate = attempt.candidate.recipe.gate
    by_format: dict[str, list[Exported]] = {}
    for item in attempt.variants:
        by_format.setdefault(converter_of(item.entry).format, []).append(item)
    refused = {
        name for name, items in by_format.items() if any(judge([i], _latency_of(attempt, i), gate) for i in items)
    }
    return tuple(name for name in by_format if name not in refused) if refused else ()


def how_to_publish(formats: Sequence[str]) -> str:
    """A line that names the formats that passed and how to get them alone; "" without any."""
    if not formats:
        return ""
    words = " ".join(f"--format {name}" for name in formats)
    return f"\n  passed: {', '.join(formats)}. To publish {'it' if len(formats) == 1 else 'these'} alone: {words}"


def _latency_of(attempt: Attempt, item: Exported) -> dict[str, VariantLatency]:
    """The variant's latency alone, if it was timed: one that can't be timed here is exempt."""
    found = attempt.latencies.get(item.entry.name)
    return {item.entry.name: found} if found is not None and found.median_ms is not None else {}


def closest(attempts: Sequence[Attempt], model: Model) -> GateError:
    """The error when no candidate of ``model``'s met the budget: how close each came, and what binds."""
    lines = []
    for attempt in attempts:
        figures = [
            None if attempt.size_bytes is None else f"{attempt.size_bytes / 1e6:.2f} MB",
            None if attempt.metric is None else f"metric {attempt.metric * 100:.2f} %",
            None if attempt.latency_ms is None else f"{attempt.latency_ms:.2f} ms",
        ]
        known = ", ".join(text for text in figures if text) or "not exported"
        lines.append(f"{attempt.candidate.name} ({known}): {attempt.problems[0]}")
    best = min(attempts, key=lambda attempt: (not attempt.variants, len(attempt.problems)))
    return GateError(
        f"none of {len(attempts)} candidates met the budget; nothing was published:\n  "
        + "\n  ".join(lines)
        + f"\n  closest: {best.candidate.name}; what binds:\n    "
        + "\n    ".join(best.problems)
        + how_to_publish(passing_formats(best))
        + f"\n  {_advice(attempts, model)}"
    )


def can_be_tiny(model: Model) -> bool:
    """Whether the preset tiny is for this model: trim_vocabulary, one of its steps, is for models of one graph."""
    return not get_task(model.task).graphs


def _advice(attempts: Sequence[Attempt], model: Model) -> str:
    """What could help against that which bound, in every candidate or in some."""
    passes = "prune_structured with recover"
    if can_be_tiny(model):
        passes += ", trim_vocabulary; the preset tiny has them"
    if all(hopeless(attempt.candidate) for attempt in attempts):
        return (
            "All are too large before anything is exported. Allow more with --max-size, or make the model itself "
            f"smaller in front of allocate ({passes})."
        )
    return (
        "Allow more with --max-drop, --max-size or --max-latency, give allocate more formats to choose from, or make "
        f"the model itself smaller in front of it ({passes})."
    )
