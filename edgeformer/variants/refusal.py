"""What a refused recipe is told: each problem, what passed all the same, and what could help against this problem.

Three things can be wrong with a variant, and each has its own cause. The metric falls: integers (or another pass) took
something from the model, so the layers that lose most are named with the setting that gives them more bits. Outputs
differ from the compressed torch model, whose weights are the variant's own: that is the engine's arithmetic, and no
bits of a weight change it. Files are too large, or runs too slow: the budget, or fewer bits.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from edgeformer_converters.base import converter_of, quantized_layers

from ..errors import GateError
from ..families import architecture_for
from ..passes.base import PipelineResult
from ..passes.quantize import FLOAT, Quantize
from ..quantization import NEEDS_INPUTS
from ..recipe import Recipe
from .gate import bundle_too_large, differs, falls, floor_that_allows, latency_problems, too_large
from .search import Attempt, can_be_tiny, how_to_publish, judge, passing_formats
from .verification import LayerLoss

# A layer that alone gives less than this share of the whole loss doesn't explain it.
EXPLAINING_SHARE = 0.1
MOST_LAYERS = 5
# A cosine floor below this would let anything pass.
LEAST_FLOOR = 0.9


def metric_fell(attempt: Attempt) -> bool:
    """Whether a variant was refused for its metric."""
    gate = attempt.candidate.recipe.gate
    checks = [(item.entry, item.entry.verification) for item in attempt.variants]
    return any(check and check.metric_drop is not None and falls(entry, gate) for entry, check in checks)


def refusal(attempt: Attempt, loss: LayerLoss | None, *, judged: bool) -> GateError:
    """The error for a recipe without open choices; ``judged``: there are labelled evaluation rows."""
    lines = ["the gate refused the result; nothing was published:", *(f"  {problem}" for problem in attempt.problems)]
    text = "\n".join(lines) + how_to_publish(passing_formats(attempt))
    advice = [*_fell(attempt, loss), *_differ(attempt, judged), *_over_budget(attempt)]
    return GateError(text + "".join(f"\n  {line}" for line in advice))


def _fell(attempt: Attempt, loss: LayerLoss | None) -> Iterator[str]:
    if not metric_fell(attempt):
        return
    pipeline, recipe = attempt.pipeline, attempt.candidate.recipe
    settings: list[str] = []
    if loss is not None and pipeline is not None:
        explaining = [item for item in loss.layers if item[1] >= EXPLAINING_SHARE * loss.total > 0][:MOST_LAYERS]
        if explaining:
            yield f"of a loss of {loss.total:.5f} (1 - cosine with the uncompressed model) these layers alone give:"
        elif loss.layers:
            path, most = loss.layers[0]
            yield (
                f"no single layer explains the loss of {loss.total:.5f} (1 - cosine with the uncompressed model): the "
                f"one that gives most, {path}, gives {most:.5f}"
            )
        layers = quantized_layers(pipeline.model.module)
        role = architecture_for(pipeline.model.architecture).role
        for path, damage in explaining:
            format_ = layers[path].integer_weight().format
            yield f"  {path} ({role(path)}, {format_}): {damage:.5f}"
            setting = _more_bits(recipe, pipeline, path, role(path), int(format_.bits))
            if setting is not None and setting not in settings:
                settings.append(setting)
    bits = " and ".join(f"--set {shlex.quote(setting)}" for setting in settings)
    yield (
        f"Give these layers more bits ({bits}), or allow more with --max-drop" if bits else "Allow more with --max-drop"
    )
    if pipeline is not None and _rounded_blindly(recipe, pipeline):
        yield (
            "4-bit integers were chosen by the weights alone: by what goes into each layer they often lose less "
            "(--set quantize.algorithm=gptq, with --calibration)"
        )


def _rounded_blindly(recipe: Recipe, pipeline: PipelineResult) -> bool:
    """Whether layers got fewer than 8 bits by an algorithm that looks at no inputs."""
    formats = [layer.integer_weight().format for layer in quantized_layers(pipeline.model.module).values()]
    blind = any(step.algorithm not in NEEDS_INPUTS for step in _quantizers(recipe))
    return blind and any(item.bits < 8 for item in formats)


def _more_bits(recipe: Recipe, pipeline: PipelineResult, path: str, role: str, bits: int) -> str | None:
    """The setting that gives a layer more bits than it has, tried on the recipe's own plan; None where none does."""
    for format_ in ("int8", FLOAT) if bits < 8 else (FLOAT,):
        for setting in (f"quantize.{role}={format_}", *_by_pattern(recipe, format_)):
            planned = _planned(recipe.with_setting(setting), pipeline, path) if _quantizers(recipe) else None
            if planned == format_:
                return setting
    return None


def _by_pattern(recipe: Recipe, format_: str) -> Iterator[str]:
    """``layers`` with each of its patterns in turn at another format: patterns count before roles."""
    for step in _quantizers(recipe):
        for pattern in step.layers:
            layers = {**step.layers, pattern: format_}
            yield "quantize.layers={" + ", ".join(f"'{key}' = '{value}'" for key, value in layers.items()) + "}"


def _planned(recipe: Recipe, pipeline: PipelineResult, path: str) -> str:
    plans = [step.plan(pipeline.uncompressed) for step in _quantizers(recipe)]
    return next((str(plan[path]) for plan in plans if path in plan), FLOAT)


def _quantizers(recipe: Recipe) -> list[Quantize]:
    return [step for step in recipe.steps if isinstance(step, Quantize)]


def _differ(attempt: Attempt, judged: bool) -> Iterator[str]:
    gate = attempt.candidate.recipe.gate
    for item in attempt.variants:
        if differs(item.entry, gate) is None:
            continue
        allowed = floor_that_allows(item.entry)
        if allowed is None or allowed[1] < LEAST_FLOOR:
            yield f"{item.entry.name}: so far apart that this variant is wrong: publish other formats"
            continue
        key, floor = allowed
        yield (
            f"{item.entry.name}: its weights are the compressed model's own, so what differs is the engine's "
            "arithmetic, and more bits for a layer may not help"
        )
        metric = "" if judged else "judge it by the task's metric (--evaluation FILE --max-drop 0.01) and "
        yield f"{'Where the metric is kept' if judged else 'Or'} {metric}allow it: --set gate.{key}={floor:g}"


def _bundle_too_large(attempt: Attempt) -> bool:
    """Whether the variants are too large together, or pass and the bundle around them doesn't."""
    gate = attempt.candidate.recipe.gate
    sizes = {item.entry.name: item.entry.size_bytes for item in attempt.variants}
    passed = attempt.variants and not judge(attempt.variants, attempt.latencies, gate)
    return bool(passed or bundle_too_large(sizes, gate))


def _over_budget(attempt: Attempt) -> Iterator[str]:
    gate = attempt.candidate.recipe.gate
    if any(too_large(item.entry, gate) for item in attempt.variants) or _bundle_too_large(attempt):
        tiny = attempt.pipeline is None or can_be_tiny(attempt.pipeline.model)
        recipes = "small or tiny" if tiny else "small"
        formats = dict.fromkeys(converter_of(item.entry).format for item in attempt.variants)
        if _bundle_too_large(attempt) and len(formats) > 1:
            yield f"An app needs one of {', '.join(formats)}: --format {next(iter(formats))} leaves out the rest"
        yield f"Allow more with --max-size, or take a recipe of fewer bits (--recipe {recipes})"
    if latency_problems(attempt.latencies, gate):
        yield "Allow more with --max-latency, or compile for shorter --sequence-lengths"
