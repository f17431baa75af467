"""Core ML: an .mlpackage holding an ML program with float16 arithmetic and integer weights.

The weights stay integers in the file and are decompressed by Core ML, so integers and scales are carried bit
by bit (see ``lower_weights``). A package has batch size 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeformer_runtime.device.target import Target
from edgeformer_runtime.engines.base import LoadedModel

from ..base import (
    ExportedVariant,
    ExportError,
    ExportRequest,
    HostEngine,
    VariantPlan,
    quantized_layers,
)
from ..chunked_attention import length_rule
from ..ops import IntegerWeight
from .convert import convert
from .package import write_package
from .program import MilProgram
from .read_weights import constexpr_names, read_integer_weights, shared_weights_metadata
from .settings import CoreMLExport, CoreMLSettings, plans_for

PACKAGE = "model.mlpackage"
ENGINE = "coreml"


class CoreMLConverter:
    """The ``Converter`` of format "coreml". Runs on any OS; the file runs on Apple's."""

    format = "coreml"
    extra = "coreml"
    packages: tuple[str, ...] = ("coremltools",)
    distributions: tuple[str, ...] = ("coremltools",)
    engine = ENGINE
    by_default = True
    on_request = False
    file_format = "coreml"
    integer_activations = False
    half_precision = True
    round_channels_to = 8
    settings = CoreMLExport

    def plans(self, targets: Sequence[Target]) -> tuple[VariantPlan, ...]:
        """One variant for each deployment target among ``targets``; iOS18 where there are no targets."""
        return plans_for(targets)

    def host_engine(self) -> HostEngine:
        """A numpy evaluator of the package: Core ML itself runs on Apple's systems only."""
        return HostEngine(lambda path, entry, threads: _evaluator(path), as_on_device=False)

    def alternatives(self, plan: VariantPlan) -> tuple[VariantPlan, ...]:
        """The plan alone."""
        return (plan,)

    def check(self, request: ExportRequest) -> None:
        """Refuse, naming the layer or input, what the deployment target can't carry; raises ExportError."""
        settings = CoreMLSettings.parse(request.plan.settings)
        _check_inputs(request, settings)
        for path, layer in quantized_layers(request.module).items():
            weight_format = layer.format
            too_fine = weight_format.bits != 8 or weight_format.granularity == "block"
            if too_fine and not settings.has_fine_weights:
                raise ExportError(
                    f"coreml ({settings.deployment_target}): layer {path!r} is {weight_format}, but this "
                    f"target holds 8-bit weights with one scale a row or tensor only: use int8 there, or "
                    f"deployment target iOS18"
                )

    def export(self, request: ExportRequest, directory: Path) -> ExportedVariant:
        """Write ``model.mlpackage`` into ``directory``; raises ExportError."""
        self.check(request)
        settings = CoreMLSettings.parse(request.plan.settings)
        path = directory / PACKAGE
        model = convert(request, settings)
        layers = {name: layer.integer_weight() for name, layer in quantized_layers(request.module).items()}
        write_package(model, path, shared_weights_metadata(layers, constexpr_names(model.get_spec())))
        program = MilProgram.load(path)
        _check_names(program, request)
        return ExportedVariant(
            path=PACKAGE,
            engine=ENGINE,
            sequence_lengths=() if settings.is_range else request.lengths,
            fixed_batch=1,
            min_engine_version=settings.deployment_target,
            settings={
                "deployment_target": settings.deployment_target,
                "compute_precision": "float16",
                "shapes": settings.shapes,
                "max_sequence_length": request.lengths[-1] if request.lengths else None,
                **(length_rule(request.module, request.lengths[-1]) if request.lengths else {}),
            },
            facts={
                "operators": dict(sorted(Counter(program.operator_types()).items())),
                # quantized layers that no output depends on, such as the pooler of a token classifier
                "unused_layers": sorted(set(layers) - set(read_integer_weights(program, layers))),
            },
        )

    def read_weights(self, path: Path, layers: Mapping[str, IntegerWeight]) -> dict[str, IntegerWeight]:
        """Integers and scales of ``layers`` as the package at ``path`` holds them under their names."""
        return read_integer_weights(MilProgram.load(path), layers)


def _evaluator(path: Path) -> LoadedModel:
    from .evaluator import MilEvaluator

    return MilEvaluator(path)


def _check_inputs(request: ExportRequest, settings: CoreMLSettings) -> None:
    request.check_lengths()
    for spec in (*request.inputs, *request.outputs):
        if spec.dtype not in ("int64", "int32", "float32"):
            raise ExportError(f"coreml: tensor {spec.name!r} is {spec.dtype}: expected int64, int32 or float32")
    varying = [spec.name for spec in request.inputs if request.length_dimension in spec.shape]
    several = len(request.lengths) > 1 and not settings.is_range
    if several and len(varying) > 1 and settings.deployment_target == "iOS17":
        raise ExportError(
            f"coreml (iOS17): the inputs {', '.join(varying)} can't all have enumerated shapes before iOS18: "
            f"give one length, or the setting shapes = 'range'"
        )


def _check_names(program: MilProgram, request: ExportRequest) -> None:
    """coremltools renames what clashes; a renamed input or output would be found only on a device."""
    wanted = {spec.name for spec in request.inputs} | {spec.name for spec in request.outputs}
    found = set(program.input_shapes) | set(program.output_names)
    if wanted != found:
        raise ExportError(
            f"coreml: the package has the inputs and outputs {sorted(found)}, expected {sorted(wanted)}: "
            f"rename those that differ"
        )
