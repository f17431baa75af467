"""compile(): from a model and its adapters to one verified bundle. Read from the top, this is the whole story."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeformer_converters.base import VariantPlan
from edgeformer_devices import load as load_target
from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.writer import check_output
from edgeformer_runtime.device.target import Target

from .data.splits import Data, read_data
from .errors import GateError, RecipeError
from .loading.load import load_model
from .loading.weights_check import refuse_untrained
from .model.base import Model
from .passes.base import PassContext, PipelineResult, run_passes
from .passes.extend_positions import ExtendPositions
from .passes.merge_lora import AdapterSource
from .publish import BundleTooLargeError, publish
from .recipe import ExportSettings, Recipe
from .stages import Stages, default_cache
from .tasks import get_task
from .variants.export import Compressed, Exported, export_uncompressed, export_variants, plan_variants
from .variants.gate import check_drop_can_be_seen
from .variants.label_vectors import label_vectors
from .variants.latency import UNCOMPRESSED, Contestant, VariantLatency, measure_latencies
from .variants.outcome import Outcome
from .variants.refusal import metric_fell, refusal
from .variants.search import Attempt, Candidate, candidates, closest, hopeless, judge, too_bad_on_validation
from .variants.verify_stage import layer_loss, make_reference, verify_variants

Progress = Callable[[str], None]


@dataclass(frozen=True)
class InputOptions:
    """How to read the model directory, where its own files don't say it or say it wrong."""

    task: str | None = None
    labels: tuple[str, ...] = ()
    pair: bool = False  # the task takes two texts; found out from the rows' files where there are any
    pooling: str | None = None
    normalize: bool | None = None
    dimensions: int | None = None  # of an embedding, only the first so many (Matryoshka)
    hypothesis_template: str | None = None  # of zero-shot labels: the text that stands for one, with {} in its place
    allow_pickle: bool = False


def compile(
    model: str | os.PathLike[str] | Model,
    *,
    output: str | os.PathLike[str],
    adapters: Sequence[str | AdapterSource] = (),
    recipe: Recipe | str = "balanced",
    devices: Sequence[str] = (),
    formats: Sequence[str] = (),
    sequence_lengths: Sequence[int] = (),
    calibration: str | os.PathLike[str] | None = None,
    training: str | os.PathLike[str] | None = None,
    evaluation: str | os.PathLike[str] | None = None,
    max_drop: float | None = None,
    max_size_bytes: int | None = None,
    max_latency_ms: float | None = None,
    platform: str | None = None,
    options: InputOptions | None = None,
    threads: int | None = None,
    resume: bool = True,
    progress: Progress = lambda message: None,
) -> Bundle:
    """Compile a model into a bundle at ``output``.

    Args:
        model: a Hugging Face directory, or a ``Model`` (see ``from_module``).
        output: where the bundle goes; an existing bundle there is replaced, anything else is refused.
        adapters: peft directories, ``"dir"`` or ``"dir=weight"``, merged into the weights.
        recipe: a Recipe, the name of a preset, or a TOML file.
        devices: names of device profiles; they decide formats, opsets and deployment targets.
        formats: "onnx", "tensorrt", "tflite", "coreml", "tflite-fp16"; by default what the devices run, or "onnx",
            "tflite" and "coreml".
        sequence_lengths: static lengths in tokens; the longest is where text is cut.
        calibration: samples, unlabelled, that the compiler makes its choices on; random tokens by default.
        training: samples that recovery learns from, with labels or without; by default the calibration's.
        evaluation: labelled samples that the result is judged on; without them numerics alone are compared.
        max_drop: largest allowed fall of the metric, 0.01 is one point.
        max_size_bytes: largest allowed size of each variant's files, with a ``platform`` of the whole bundle.
        max_latency_ms: largest allowed median latency, on this machine, of each variant that it can run as devices do:
            one row at the longest sequence length.
        platform: "android", "ios", "web": the bundle holds what runs in apps there, and nothing else.
        options: how to read the model where its files don't say it.
        threads: threads of the engines during verification; all cores by default.
        resume: reuse results of stages that an earlier, equal call completed.
        progress: called with a line of text when a stage begins and ends.

    Raises:
        InputError: the call or a file that it names is wrong (nothing was done).
        EdgeformerError: the work was refused or failed its gate (nothing was published).
    """
    check_output(Path(output))
    targets = tuple(load_target(name) for name in devices)
    chosen = _complete(recipe, adapters, formats, sequence_lengths, platform)
    chosen = _with_budget(chosen, max_drop, max_size_bytes, max_latency_ms)
    plans = plan_variants(chosen.export, targets)
    stages = Stages(default_cache() if resume else None, progress)
    try:
        with stages.timed("load"):
            source = _load(model, chosen, options or InputOptions(), (evaluation, calibration, training))
            if not sequence_lengths:
                source, chosen = _fitting_lengths(source, chosen)
            source = _with_lengths(source, chosen)
            label_vectors(source, max(chosen.export.sequence_lengths))  # refuses labels that can't be told apart
            for note in source.notes:
                progress(f"note: {note}")
            data = read_data(source, max(chosen.export.sequence_lengths), calibration, evaluation, training)
            check_drop_can_be_seen(chosen.gate, data.evaluation.samples)
        for line in data.described():
            progress(line)
        context = PassContext(
            targets, progress, bool(options and options.allow_pickle), data, stages=stages, threads=threads or _cores()
        )
        attempts: list[Attempt] = []
        for candidate in candidates(source, chosen, context):
            attempt = _attempt(candidate, source, plans, context, stages)
            attempts.append(attempt)
            if not attempt.problems:
                try:
                    return publish(Path(output), _outcome(attempts, targets, data), stages)
                except BundleTooLargeError as error:
                    attempts[-1] = replace(attempt, problems=(str(error),))
            progress(f"{candidate.name}: {attempts[-1].problems[0]}")
        raise _refusal(attempts, source, stages, data)
    finally:
        stages.close()


def _attempt(
    candidate: Candidate, source: Model, plans: Sequence[VariantPlan], context: PassContext, stages: Stages
) -> Attempt:
    """Compress, export every variant, execute each, and compare with what is allowed."""
    recipe, data, threads = candidate.recipe, context.data, context.threads
    if data is None:
        raise ValueError("a compile always has data")
    early = hopeless(candidate)
    if early:
        return Attempt(candidate, problems=tuple(early))
    pipeline = _compress(source, recipe, context, stages)
    if candidate.is_one_of_many and recipe.gate.max_drop is not None:
        with stages.timed("compare on validation rows"):
            early = too_bad_on_validation(pipeline, data.validation, recipe.gate)
    if early:
        return Attempt(candidate, pipeline, problems=tuple(early))
    compressed: dict[str | None, Compressed] = {
        None: Compressed(pipeline.model, make_reference(stages, pipeline, data))
    }
    for granularity in dict.fromkeys(plan.granularity for plan in plans if plan.granularity is not None):
        other = _compress(source, _with_weights(recipe, granularity), context, stages)
        compressed[granularity] = Compressed(other.model, make_reference(stages, other, data))
    exported = export_variants(stages, plans, compressed, recipe, data, threads)
    variants = verify_variants(stages, exported, compressed, threads)
    latencies = _latencies(stages, pipeline, variants, recipe, threads)
    return Attempt(candidate, pipeline, compressed, variants, latencies, judge(variants, latencies, recipe.gate))


def _latencies(
    stages: Stages, pipeline: PipelineResult, variants: Sequence[Exported], recipe: Recipe, threads: int
) -> dict[str, VariantLatency]:
    """Of every variant, and of the uncompressed model in the same turns."""
    contestants = {item.entry.name: Contestant(pipeline.model, item.entry, item.file) for item in variants}
    plain = export_uncompressed(stages, pipeline.uncompressed, recipe)
    if isinstance(plain, Exported):
        contestants[UNCOMPRESSED] = Contestant(pipeline.uncompressed, plain.entry, plain.file)
    lengths = recipe.export.sequence_lengths if any("sequence" in spec.shape for spec in pipeline.model.inputs) else ()
    with stages.timed("measure latency"):
        found = measure_latencies(contestants, lengths, threads)
    return found if isinstance(plain, Exported) else {**found, UNCOMPRESSED: VariantLatency(None, plain)}


def _outcome(attempts: Sequence[Attempt], targets: tuple[Target, ...], data: Data) -> Outcome:
    """What is published: the last attempt, with those before it for the report."""
    accepted = attempts[-1]
    if accepted.pipeline is None:
        raise ValueError("an accepted attempt has run its passes")
    return Outcome(
        recipe=accepted.candidate.recipe,
        targets=targets,
        pipeline=accepted.pipeline,
        data=data,
        variants=accepted.variants,
        compressed=accepted.compressed,
        latencies=accepted.latencies,
        attempts=tuple(attempts),
    )


def _refusal(attempts: Sequence[Attempt], source: Model, stages: Stages, data: Data) -> GateError:
    last = attempts[-1]
    if last.candidate.is_one_of_many or last.pipeline is None or None not in last.compressed:
        return closest(attempts, source)
    loss = None
    if metric_fell(last):  # other problems have other causes than the weights' integers
        loss = layer_loss(stages, last.pipeline, last.compressed[None].reference)
    return refusal(last, loss, judged=bool(data.evaluation.samples and data.evaluation.samples.labelled))


def _complete(
    recipe: Recipe | str,
    adapters: Sequence[str | AdapterSource],
    formats: Sequence[str],
    sequence_lengths: Sequence[int],
    platform: str | None,
) -> Recipe:
    """The recipe with what the call itself states."""
    chosen = Recipe.load(recipe) if isinstance(recipe, str) else recipe
    sources = tuple(AdapterSource.parse(item) if isinstance(item, str) else item for item in adapters)
    chosen = chosen.with_adapters(sources)
    export = chosen.export
    if formats:
        export = replace(export, formats=tuple(formats))
    if sequence_lengths:
        export = replace(export, sequence_lengths=tuple(sequence_lengths))
    if platform is not None:
        export = replace(export, platform=platform)
    return replace(chosen, export=export)


def _with_budget(
    recipe: Recipe, max_drop: float | None, max_size_bytes: int | None, max_latency_ms: float | None
) -> Recipe:
    size = "max_size_bytes" if recipe.export.platform is None else "max_bundle_bytes"
    given = {"max_drop": max_drop, size: max_size_bytes, "max_latency_ms": max_latency_ms}
    gate = replace(recipe.gate, **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    return replace(recipe, gate=gate)


def _load(
    model: str | os.PathLike[str] | Model,
    recipe: Recipe,
    options: InputOptions,
    files: Sequence[str | os.PathLike[str] | None],
) -> Model:
    if isinstance(model, Model):
        return model
    from .rows.samples import has_pairs

    adapters = [Path(source.path) for step in recipe.steps for source in getattr(step, "adapters", ())]
    return load_model(
        model,
        task=options.task,
        labels=options.labels,
        adapters=adapters,
        pair=options.pair,
        pair_rows=any(has_pairs(Path(file)) for file in files if file is not None),
        pooling=options.pooling,
        normalize=options.normalize,
        dimensions=options.dimensions,
        hypothesis_template=options.hypothesis_template,
        allow_pickle=options.allow_pickle,
    )


def _compress(source: Model, recipe: Recipe, context: PassContext, stages: Stages) -> PipelineResult:
    stages.current = "passes"
    with stages.inside("a pass"):
        result = run_passes(source, recipe.steps, context)
    for record in result.records:
        stages.done(record.name, record.seconds)
    refuse_untrained(result.uncompressed)
    return result


def _with_weights(recipe: Recipe, granularity: str) -> Recipe:
    """The recipe for variants that can't have its integers; see ``VariantPlan``."""
    steps = (step.per_tensor() if granularity == "tensor" else step.in_floats() for step in recipe.steps)
    return replace(recipe, steps=tuple(steps))


def _fitting_lengths(model: Model, recipe: Recipe) -> tuple[Model, Recipe]:
    """Without those of the usual lengths that the model has no positions for: its own longest instead, in a note."""
    lengths, longest = recipe.export.sequence_lengths, model.max_length
    extended = any(isinstance(step, ExtendPositions) for step in recipe.steps)
    if longest is None or max(lengths) <= longest or extended or lengths != ExportSettings().sequence_lengths:
        return model, recipe
    fitting = (*(length for length in lengths if length < longest), longest)
    note = f"files are made for {' and '.join(map(str, fitting))} tokens: the model has no positions for more"
    export = replace(recipe.export, sequence_lengths=fitting)
    return replace(model, notes=(*model.notes, note)), replace(recipe, export=export)


def _with_lengths(model: Model, recipe: Recipe) -> Model:
    """The model, with a note where texts are cut elsewhere than its directory or the call says.

    Raises:
        RecipeError: a length beyond the model's positions.
    """
    longest = max(recipe.export.sequence_lengths)
    extended = [step.max_length for step in recipe.steps if isinstance(step, ExtendPositions)]
    if model.max_length is not None and longest > max([model.max_length, *extended]):
        raise RecipeError(
            f"sequence length {longest}: {model.name} has position embeddings for {model.max_length} tokens. "
            "Choose shorter --sequence-lengths, or put extend_positions into the recipe"
        )
    text = model.signature.text
    if text is None or text.max_length is None or extended:
        return model
    said = "max_seq_length or model_max_length"
    allowed = min(text.max_length, model.max_length or text.max_length)
    if allowed < longest:
        note = f"texts are cut to {allowed} tokens, as the directory says ({said}), not to {longest}"
    elif allowed > longest and get_task(model.task).pools:  # of other tasks, rows show what is lost
        note = (
            f"texts are cut to {longest} tokens, the directory says {allowed} ({said}): vectors of longer texts differ "
            f"from the original's. --sequence-lengths …,{allowed} takes them whole"
        )
    else:
        return model
    return replace(model, notes=(*model.notes, note))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


__all__ = ["InputOptions", "compile"]
