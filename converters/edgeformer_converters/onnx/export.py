"""Export to ONNX for CPUs: one file with dynamic batch and sequence, integers inside, for ONNX Runtime from
1.19 on.

trace   every quantized layer becomes one node of our own domain, the rest standard ones
lower   each such node becomes standard operators around the layer's own integers
clean   drop what nothing reads, merge equal subexpressions, strip metadata
tune    what ONNX Runtime's CPU kernels like better (cpu.py)
check   no node of an unknown domain; ONNX's checker
save    one file, equal bytes for equal models
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgeformer_runtime.device.target import Target
from edgeformer_runtime.engines.onnxruntime import OnnxRuntimeEngine

from ..base import (
    ExportedVariant,
    ExportError,
    ExportRequest,
    HostEngine,
    NoSettings,
    VariantPlan,
    quantized_layers,
    require,
)
from ..chunked_attention import length_rule, local_layers
from ..ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear
from .levels import DEFAULT_LEVEL, LEVELS

FILE_NAME = "model.onnx"
ENGINE = "onnxruntime"
# The oldest engine that a device profile names is ONNX Runtime 1.19 (Python 3.8), which knows opset 21.
MIN_ENGINE_VERSION = "1.19"
OPSET = 21
# BitwiseAnd, with which 4-bit integers are unpacked, came with opset 18.
OLDEST_OPSET = 18


class OnnxConverter:
    """ONNX for CPUs (see the module's docstring)."""

    format = "onnx"
    extra = "onnx"
    packages: tuple[str, ...] = ("onnx", "onnx_ir", "onnxscript", "onnxruntime")
    distributions: tuple[str, ...] = ("onnx", "onnxscript", "onnxruntime")
    engine = ENGINE
    by_default = True
    on_request = False
    file_format = "onnx"
    integer_activations = True
    half_precision = False
    round_channels_to = 8
    settings = NoSettings

    def plans(self, targets: Sequence[Target]) -> tuple[VariantPlan, ...]:
        """One file for all targets that have ONNX Runtime, in the newest opset that each of them accepts."""
        engines = {target.name: engine for target in targets if (engine := target.engine(ENGINE)) is not None}
        if targets and not engines:
            return ()
        limits = [engine.max_opset for engine in engines.values() if engine.max_opset is not None]
        opset = min([OPSET, *limits])
        return (VariantPlan("onnx", self.format, tuple(engines), {"opset": opset, "row_scales": DEFAULT_LEVEL}),)

    def host_engine(self) -> HostEngine:
        """ONNX Runtime on the CPU, as on a device without native kernels: what is verified, and the golden rows, don't
        depend on the kernels of this machine.
        """
        return HostEngine(OnnxRuntimeEngine(kernels=False).load, as_on_device=True)

    def alternatives(self, plan: VariantPlan) -> tuple[VariantPlan, ...]:
        """The plan, then those with row scales on more layers."""
        level = str(plan.settings.get("row_scales", DEFAULT_LEVEL))
        levels = LEVELS[LEVELS.index(level) :]
        return tuple(replace(plan, settings={**plan.settings, "row_scales": item}) for item in levels)

    def check(self, request: ExportRequest) -> None:
        """Refuse an opset that lacks an operator which the lowerings need."""
        opset = _opset(request)
        if opset < OLDEST_OPSET:
            raise ExportError(
                f"format 'onnx': opset {opset} is too old: unpacking 4-bit weights needs {OLDEST_OPSET} "
                f"(ONNX Runtime 1.14) or newer; targets: {', '.join(request.plan.targets) or 'none named'}"
            )

    def export(self, request: ExportRequest, directory: Path) -> ExportedVariant:
        """Write ``model.onnx`` into ``directory``; raises ExportError."""
        require(self)
        self.check(request)
        from . import cpu, functions, graph, local_attention, lower_embedding, lower_linear, trace

        opset = _opset(request)
        level = str(request.plan.settings.get("row_scales", DEFAULT_LEVEL))
        model = trace.trace(request, opset)
        layers = quantized_layers(request.module)
        lowering = graph.Lowering(model, layers, attentions=local_layers(request.module))
        graph.lower_nodes(
            lowering,
            {
                trace.LINEAR: lower_linear.LinearLowering(level, opset),
                trace.EMBEDDING: lower_embedding.lower_embedding,
                trace.ATTENTION: local_attention.lower_attention,
            },
        )
        graph.clean(model, opset)
        cpu.keep_layer_norms_apart(model)
        local_attention.add_function(lowering, opset)
        lower_linear.add_functions(lowering, opset)
        graph.check_domains(model, {"", functions.DOMAIN}, self.format)
        graph.save(model, directory / FILE_NAME, self.format)
        return ExportedVariant(
            path=FILE_NAME,
            engine=ENGINE,
            min_engine_version=MIN_ENGINE_VERSION,
            settings={
                "opset": opset,
                "row_scales": level,
                **local_attention.settings(lowering),
                **length_rule(request.module, "input"),
            },
            facts={
                "nodes": graph.count_nodes(model),
                "computed_in_float": [name for name, layer in layers.items() if _computed_in_float(layer)],
                "unused_layers": graph.unused_layers(lowering),
            },
        )

    def read_weights(self, path: Path, layers: Mapping[str, IntegerWeight]) -> dict[str, IntegerWeight]:
        """See ``Converter.read_weights``."""
        require(self)
        from . import read

        return read.read_weights(path, layers)


def _opset(request: ExportRequest) -> int:
    return int(request.plan.settings.get("opset", OPSET))


def _computed_in_float(layer: QuantizedLinear | QuantizedEmbedding) -> bool:
    """8-bit blocks: their scales differ along the summed axis, so that no integer product has one scale a
    channel.
    """
    eight_bit_blocks = layer.format.bits == 8 and layer.format.granularity == "block"
    return isinstance(layer, QuantizedLinear) and eight_bit_blocks
