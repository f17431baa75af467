"""Export for NVIDIA Jetson: ONNX as the parser of a TensorRT release reads it. A profile of the ONNX
exporter.

trace   as for CPUs
lower   quantized layers become QuantizeLinear / DequantizeLinear pairs; operators that are newer than the
opset, or
        that the parser doesn't know, become simpler ones
type    the graph is float16, with casts around what needs float32
check   every operator and its type against the parser's own list; ONNX's checker
save    one file, and a profile (smallest, usual and largest shape) for every input, which an engine build
needs
parse   by NVIDIA's own parser and builder, where tensorrt_parser finds them
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edgeformer_runtime.device.target import EngineSpec, Target
from edgeformer_runtime.errors import InputError

from ..base import (
    ExportedVariant,
    ExportError,
    ExportRequest,
    HostEngine,
    VariantPlan,
    quantized_layers,
    require,
    runtime_engine,
)
from ..chunked_attention import length_rule
from ..ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear

FILE_NAME = "model.onnx"
ENGINE, STAND_IN = "tensorrt", "onnxruntime"
# JetPack 6.1 and 6.2
DEFAULT_TENSORRT, DEFAULT_OPSET = "10.3", 21
# opset by TensorRT release, where a target doesn't say: docs/operators.md of onnx-tensorrt
OPSETS = {"8.2": 13, "8.5": 17, "10.0": 20, "10.3": 21}
OLDEST_OPSET = 13  # DequantizeLinear with an axis
INT4_TENSORRT, INT4_OPSET = (10, 0), 21  # the INT4 type, and blocks in DequantizeLinear
# the shapes that an engine is built for: it runs any batch up to the largest, fastest at one text at a time
USUAL_BATCH, LARGEST_BATCH = 1, 8


@dataclass(frozen=True)
class TensorRTSettings:
    """What a recipe may ask of TensorRT, [export.tensorrt]: the file stays the same, the provider is told.

    Args:
        dla_core: Jetson's accelerator 0 or 1; what it can't run goes to the GPU.
        workspace_bytes: while the engine is built; None is a quarter of what is free there, at most 1 GiB.
    """

    dla_core: int | None = None
    workspace_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.dla_core is not None and (type(self.dla_core) is not int or self.dla_core not in (0, 1)):
            raise InputError(f"dla_core = {self.dla_core!r}: expected 0 or 1")
        if self.workspace_bytes is not None and (type(self.workspace_bytes) is not int or self.workspace_bytes < 1):
            raise InputError(f"workspace_bytes = {self.workspace_bytes!r}: expected an integer of at least 1")


FOR_THE_DEVICE = tuple(item.name for item in fields(TensorRTSettings))


class TensorRTConverter:
    """ONNX for TensorRT (see the module's docstring)."""

    format = "tensorrt"
    extra = "onnx"
    packages: tuple[str, ...] = ("onnx", "onnx_ir", "onnxscript", "onnxruntime")
    distributions: tuple[str, ...] = ("onnx", "onnxscript", "onnxruntime", "tensorrt-rtx-cu13-bindings")
    engine = ENGINE
    by_default = False
    on_request = False
    file_format = "tensorrt"
    integer_activations = True
    half_precision = True
    round_channels_to = 16
    settings = TensorRTSettings

    def plans(self, targets: Sequence[Target]) -> tuple[VariantPlan, ...]:
        """One file for each pair of TensorRT release and opset among the targets."""
        if not targets:
            return (self._plan("tensorrt", DEFAULT_TENSORRT, DEFAULT_OPSET, ()),)
        groups: dict[tuple[str, int], list[str]] = {}
        for target in targets:
            engine = target.engine(ENGINE)
            if engine is not None:
                groups.setdefault((_release(engine.version), _newest_opset(engine)), []).append(target.name)
        releases = [release for release, _ in groups]

        def name(release: str, opset: int) -> str:
            if len(groups) == 1:
                return "tensorrt"
            return f"tensorrt-{release}" + (f"-opset{opset}" if releases.count(release) > 1 else "")

        return tuple(
            self._plan(name(release, opset), release, opset, tuple(names)) for (release, opset), names in groups.items()
        )

    def host_engine(self) -> HostEngine:
        """Its graph on ONNX Runtime's CPU: TensorRT itself needs the device."""
        return runtime_engine(STAND_IN, as_on_device=False)

    def alternatives(self, plan: VariantPlan) -> tuple[VariantPlan, ...]:
        """The plan alone: it has row scales everywhere already."""
        return (plan,)

    def check(self, request: ExportRequest) -> None:
        """Refuse formats that TensorRT has no form for, naming the layer."""
        release, opset = _settings(request)
        if opset < OLDEST_OPSET:
            raise ExportError(
                f"format 'tensorrt': opset {opset} is too old: expected {OLDEST_OPSET} or newer, "
                "which DequantizeLinear per channel needs (TensorRT 8.2)"
            )
        for name, layer in quantized_layers(request.module).items():
            problem = _problem(layer, release, opset)
            if problem is not None:
                raise ExportError(f"format 'tensorrt' ({release}): layer {name!r}, {layer.format}, {problem}")

    def export(self, request: ExportRequest, directory: Path) -> ExportedVariant:
        """Write ``model.onnx`` into ``directory``; raises ExportError."""
        require(self)
        self.check(request)
        from . import (
            graph,
            local_attention,
            old_opsets,
            precision,
            tensorrt_lower,
            tensorrt_operators,
            tensorrt_parser,
            trace,
        )

        release, opset = _settings(request)
        profiles = shape_profiles(request)
        model = trace.trace(request, max(opset, old_opsets.TRACED_OPSET), chunked_attention=True)
        lowering = graph.Lowering(model, quantized_layers(request.module))
        qdq = tensorrt_lower.QdqLowering(opset)
        graph.lower_nodes(
            lowering,
            {
                trace.LINEAR: qdq.linear,
                trace.EMBEDDING: qdq.embedding,
                trace.PAD: local_attention.lower_pad,
                trace.CUT: local_attention.lower_cut,
            },
        )
        graph.clean(model, max(opset, old_opsets.TRACED_OPSET))
        graph.check_domains(model, {""}, self.format)
        old_opsets.lower_to(lowering, opset, tensorrt_operators.missing(release, {"LayerNormalization"}))
        graph.infer_types(model, max(opset, old_opsets.TRACED_OPSET) if opset >= 18 else opset)
        precision.to_float16(model)
        graph.clean(model, opset)
        graph.infer_types(model, opset)
        tensorrt_operators.check_operators(model, release)
        graph.save(model, directory / FILE_NAME, self.format)
        return ExportedVariant(
            path=FILE_NAME,
            engine=ENGINE,
            min_engine_version=release,
            settings={
                "opset": opset,
                "tensorrt": release,
                "precision": "fp16",
                "profiles": profiles,
                **{name: request.plan.settings[name] for name in FOR_THE_DEVICE if name in request.plan.settings},
                **(length_rule(request.module, request.lengths[-1]) if request.lengths else {}),
            },
            facts={
                "nodes": graph.count_nodes(model),
                "weight_only": _weight_only(request),
                "unused_layers": (unused := graph.unused_layers(lowering)),
                "parser": tensorrt_parser.facts(directory / FILE_NAME, profiles, _int8_products(request, unused)),
            },
        )

    def read_weights(self, path: Path, layers: Mapping[str, IntegerWeight]) -> dict[str, IntegerWeight]:
        """See ``Converter.read_weights``."""
        require(self)
        from . import read

        return read.read_weights(path, layers)

    def _plan(self, name: str, release: str, opset: int, targets: tuple[str, ...]) -> VariantPlan:
        return VariantPlan(name, self.format, targets, {"opset": opset, "tensorrt": release})


def shape_profiles(request: ExportRequest) -> dict[str, dict[str, list[int]]]:
    """The smallest, usual and largest shape of every input: {name: {"min": […], "opt": […], "max": […]}}.

    The usual length is the middle one of ``request.lengths``.
    """
    lengths, varies = request.lengths, request.length_dimension
    request.check_lengths()
    bounds = {"batch": (1, USUAL_BATCH, LARGEST_BATCH)}
    if varies is not None:
        bounds[varies] = (1, lengths[len(lengths) // 2], lengths[-1])
    profiles = {}
    for spec in request.inputs:
        shape = [bounds[size] if isinstance(size, str) else (size, size, size) for size in spec.shape]
        profiles[spec.name] = {
            kind: [triple[index] for triple in shape] for index, kind in enumerate(("min", "opt", "max"))
        }
    return profiles


def _problem(layer: QuantizedLinear | QuantizedEmbedding, release: str, opset: int) -> str | None:
    """Why TensorRT can't carry the layer's format, or None."""
    if not layer.format.symmetric:
        return "can't be carried: TensorRT has no zero points: quantize it symmetrically"
    if layer.format.granularity != "block":
        return None
    if isinstance(layer, QuantizedEmbedding) or layer.format.bits == 8:
        return "can't be carried: TensorRT has blocks for 4-bit linear layers only: use one scale a row"
    if _numbers(release) < INT4_TENSORRT or opset < INT4_OPSET:
        return (
            f"can't be carried at opset {opset}: 4-bit blocks need TensorRT 10 and opset {INT4_OPSET}: "
            "use int4 per channel"
        )
    return None


def _weight_only(request: ExportRequest) -> list[str]:
    """Layers whose product is computed in float16: only their weights are integers."""
    return [
        name
        for name, layer in quantized_layers(request.module).items()
        if isinstance(layer, QuantizedLinear) and layer.format.granularity == "block"
    ]


def _int8_products(request: ExportRequest, unused: Collection[str]) -> list[str]:
    """Layers whose activations and weights are int8 in the graph."""
    without = {*_weight_only(request), *unused}
    layers = quantized_layers(request.module).items()
    return [name for name, layer in layers if isinstance(layer, QuantizedLinear) and name not in without]


def _settings(request: ExportRequest) -> tuple[str, int]:
    settings: Mapping[str, Any] = request.plan.settings
    return str(settings.get("tensorrt", DEFAULT_TENSORRT)), int(settings.get("opset", DEFAULT_OPSET))


def _newest_opset(engine: EngineSpec) -> int:
    """What the target declares, else what the release is known to read; never beyond what is written here."""
    if engine.max_opset is not None:
        return min(engine.max_opset, DEFAULT_OPSET)
    known = [opset for release, opset in OPSETS.items() if _numbers(release) <= _numbers(engine.version)]
    return known[-1] if known else OLDEST_OPSET


def _release(version: str) -> str:
    """ "8.5.2" to "8.5": patch releases read the same files."""
    return ".".join(version.split(".")[:2])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
