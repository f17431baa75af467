"""Which variants to make, and making each one: export, then read every integer back from the file."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeformer_converters.base import (
    CONVERTERS,
    REFERENCE_FORMAT,
    Converter,
    ExportedVariant,
    ExportError,
    ExportRequest,
    MissingExtraError,
    VariantPlan,
    get_converter,
    made_for,
    quantized_layers,
    require,
)
from edgeformer_converters.ops import QuantizedEmbedding, QuantizedLinear
from edgeformer_runtime.bundle.manifest import SEQUENCE, TensorSpec, VariantEntry
from edgeformer_runtime.device.facts import peak_rss_bytes
from edgeformer_runtime.device.target import Target
from edgeformer_runtime.variants.self_check import similarities

from ..apps import get_platform
from ..data.splits import Data
from ..errors import RecipeError
from ..model.base import Model
from ..recipe import ExportSettings, Recipe
from ..stages import RESULT, Stages, source_digest
from .entry import folder_of, merged_facts, variant_entry
from .gate import cosine_floor, worst_floor
from .verification import Reference, run_torch, run_variant

_ROWS_TO_COMPARE = 256
_FRAMEWORKS = ("torch", "transformers")


@dataclass(frozen=True)
class Compressed:
    """A compressed model with the outputs that its variants must reproduce."""

    model: Model
    reference: Reference


@dataclass(frozen=True)
class Exported:
    """A variant's files and its entry in the manifest, still without verification."""

    directory: Path
    entry: VariantEntry
    facts: Mapping[str, Any]
    granularity: str | None

    def file(self, path: str) -> Path:
        """Where a path of the bundle, such as a graph's model file, lies before there is a bundle."""
        return self.directory / Path(path).relative_to(f"variants/{self.entry.name}")


def plan_variants(settings: ExportSettings, targets: Sequence[Target]) -> tuple[VariantPlan, ...]:
    """The variants to make; raises RecipeError for an unknown format, MissingExtraError for a missing backend."""
    for name in settings.formats:
        if name not in CONVERTERS:
            raise RecipeError(f"format {name!r}: expected one of {', '.join(CONVERTERS)}")
    plans: list[VariantPlan] = []
    for converter in _wanted(settings, targets):
        require(converter)
        plans += converter.plans(targets)
    made = {plan.format for plan in plans}
    for name in settings.backends:
        if name not in made and settings.asked_of(name):
            raise RecipeError(
                f"export.{name}: {', '.join(settings.asked_of(name))}: no file of that format is made: expected a "
                f"device that runs it among the devices, or {name!r} among the formats"
            )
    return tuple(
        dataclasses.replace(plan, settings={**plan.settings, **settings.asked_of(plan.format)}) for plan in plans
    )


def _wanted(settings: ExportSettings, targets: Sequence[Target]) -> list[Converter]:
    """Those of the formats that are named; else those that the devices run; else every usual one.

    Of a platform for apps, what it can't run is refused, and without devices its preferred engine's format is taken.
    """
    every = [get_converter(name) for name in CONVERTERS]
    formats = settings.formats
    if settings.platform is not None:
        platform = get_platform(settings.platform)
        there = [engine.format for engine in platform.engines]
        wrong = [name for name in formats if get_converter(name).file_format not in there]
        if wrong:
            raise RecipeError(f"format {wrong[0]!r}: {platform.title} runs {', '.join(there)}: choose among these")
        runs = [name for name in there if any(made_for(get_converter(name), target) for target in targets)]
        if targets and not runs:
            names = ", ".join(target.name for target in targets)
            raise RecipeError(f"{platform.title} runs {', '.join(there)}, which none of the devices ({names}) does")
        formats = formats or tuple(runs) or (there[0],)
    if formats:
        return [converter for converter in every if converter.format in formats]
    usual = [converter for converter in every if not converter.on_request]
    for_targets = [converter for converter in usual if any(made_for(converter, target) for target in targets)]
    return for_targets or [converter for converter in every if converter.by_default]


def export_variants(
    stages: Stages,
    plans: Sequence[VariantPlan],
    compressed: Mapping[str | None, Compressed],
    recipe: Recipe,
    data: Data,
    threads: int,
) -> tuple[Exported, ...]:
    """Make every variant; each export is a stage. All are checked before the first is made."""
    for plan in plans:
        for request in _requests(plan, compressed[plan.granularity].model, recipe).values():
            get_converter(plan.format).check(request)
    return tuple(
        _exact_enough(stages, plan, compressed[plan.granularity].model, recipe, data, threads) for plan in plans
    )


def export_uncompressed(stages: Stages, model: Model, recipe: Recipe) -> Exported | str:
    """The uncompressed model as plain ONNX, for timing beside the variants; the reason where that isn't possible."""
    converter = get_converter(REFERENCE_FORMAT)
    try:
        require(converter)
        plan = dataclasses.replace(converter.plans(())[0], name="uncompressed")
        requests = _requests(plan, model, recipe)
        for request in requests.values():
            converter.check(request)
        return _export(stages, converter, plan, requests, model)
    except (ExportError, MissingExtraError) as error:
        return f"the uncompressed model could not be exported to ONNX: {error}"


def _exact_enough(
    stages: Stages, plan: VariantPlan, model: Model, recipe: Recipe, data: Data, threads: int
) -> Exported:
    """The first of a plan's alternatives that keeps close to torch on calibration rows, or else the closest.

    Close means half of what the gate allows: the evaluation rows, which judge it later, may be harder.
    """
    converter = get_converter(plan.format)
    alternatives = converter.alternatives(plan)
    if len(alternatives) == 1 or not quantized_layers(model.module):
        return _export(stages, converter, alternatives[0], _requests(alternatives[0], model, recipe), model)
    enough = (1 + cosine_floor(converter, recipe.gate)) / 2
    feeds = data.calibration.first(_ROWS_TO_COMPARE).encoded(model).feeds
    expected = run_torch(model, feeds)
    tried: list[dict[str, Any]] = []
    exports: list[tuple[float, Exported]] = []
    for alternative in alternatives:
        made = _export(stages, converter, alternative, _requests(alternative, model, recipe), model)
        with stages.timed(f"try {plan.name}"):
            outputs = run_variant(model.signature, made.entry, made.file, feeds, threads)[0]
            alike = similarities(outputs, expected)
        low, worst = float(np.quantile(alike, 0.01)), min(alike)
        tried.append({"settings": dict(alternative.settings), "similarity_p01": low, "similarity_min": worst})
        exports.append((low, made))
        if low >= enough and worst >= worst_floor(enough):
            break
    else:
        made = max(exports, key=lambda pair: pair[0])[1]  # the cheapest of equals
    return dataclasses.replace(made, facts={**made.facts, "tried_on_calibration_rows": tried, "enough": enough})


def _requests(plan: VariantPlan, model: Model, recipe: Recipe) -> dict[str, ExportRequest]:
    """By graph."""
    return {
        part.graph: ExportRequest(
            module=part.module,
            inputs=part.inputs,
            outputs=part.outputs,
            example_inputs=part.example_inputs,
            sequence_lengths=recipe.export.sequence_lengths if _has_sequence(part.inputs) else (),
            plan=plan,
        )
        for part in model.parts()
    }


def _has_sequence(inputs: Sequence[TensorSpec]) -> bool:
    return any(SEQUENCE in spec.shape for spec in inputs)


def _export(
    stages: Stages, converter: Converter, plan: VariantPlan, requests: Mapping[str, ExportRequest], model: Model
) -> Exported:
    key = {
        "model": model.digest(),
        "plan": dataclasses.asdict(plan),
        "lengths": [list(request.sequence_lengths) for request in requests.values()],
        "source": [source_digest(name) for name in ("edgeformer", "edgeformer_converters")],
        "backends": {name: _version(name) for name in (*_FRAMEWORKS, *converter.distributions)},
    }

    def make(directory: Path) -> Mapping[str, Any]:
        exported, equal = {}, 0
        for graph, request in requests.items():
            folder = directory / folder_of(graph)
            folder.mkdir(exist_ok=True)
            exported[graph] = dataclasses.asdict(converter.export(request, folder))
            equal += _check_integers(converter, request, folder / exported[graph]["path"])
        return {"exported": exported, "bit_equal_layers": equal, "peak_memory_bytes": peak_rss_bytes()}

    directory, result = stages.directory(f"export {plan.name}", key, make)
    made = {graph: ExportedVariant(**values) for graph, values in result["exported"].items()}
    facts = {**merged_facts(made), "bit_equal_layers": result["bit_equal_layers"]}
    size_bytes = sum(file.stat().st_size for file in _files(directory))
    return Exported(directory, variant_entry(plan, made, requests, size_bytes), facts, plan.granularity)


def _check_integers(converter: Converter, request: ExportRequest, path: Path) -> int:
    """Read every integer and scale back from the file; raises ExportError at the first that isn't the chosen one."""
    chosen = {name: layer.integer_weight() for name, layer in _used_layers(request).items()}
    found = converter.read_weights(path, chosen)
    for name, weight in chosen.items():
        if name not in found:
            raise ExportError(f"variant {request.plan.name}: {path.name} doesn't hold layer {name} as {weight.format}")
        if not weight.same_as(found[name]):
            raise ExportError(
                f"variant {request.plan.name}: layer {name} ({weight.format}): integers or scales in {path.name} are "
                "not the chosen ones. This is a defect of the exporter; please report it with the model's architecture"
            )
    return len(chosen)


def _used_layers(request: ExportRequest) -> dict[str, QuantizedLinear | QuantizedEmbedding]:
    """Quantized layers that the outputs depend on: a pooler that nobody asks for is in no exported graph."""
    layers = quantized_layers(request.module)
    called: set[str] = set()
    handles = [layer.register_forward_hook(lambda *_, name=name: called.add(name)) for name, layer in layers.items()]
    with torch.inference_mode():
        request.module(*request.example_inputs)
    for handle in handles:
        handle.remove()
    return {name: layer for name, layer in layers.items() if name in called}


def _files(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.rglob("*")) if path.is_file() and path != directory / RESULT]


def copy_files(exported: Exported, bundle: Path) -> None:
    """Copy a variant's files to their place in a bundle being made."""
    target = bundle / "variants" / exported.entry.name
    for path in _files(exported.directory):
        destination = target / path.relative_to(exported.directory)
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, destination)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
