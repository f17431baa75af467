"""The TFLite exporter: from a compressed module to one ``model.tflite`` for LiteRT.

The story: quantized layers become opaque calls (``placeholders``), litert-torch converts what is left
(``convert``), the calls become operators on the chosen integers (``lower_quantized``), the file is tidied and
written (``flatbuffer``), and read back to see that it holds those integers (``read``).

Activations are quantized to int8 at run time, row by row ("dynamic range"), for XNNPACK's integer kernels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeformer_runtime.device.target import Target

from ..base import (
    ExportedVariant,
    ExportError,
    ExportRequest,
    HostEngine,
    NoSettings,
    VariantPlan,
    quantized_layers,
    require,
    runtime_engine,
)
from ..chunked_attention import length_rule
from ..ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear
from ..quiet import quiet
from . import flatbuffer
from .attention_scale import scale_queries
from .broadcast import shrink_broadcast_constants
from .convert import convert, input_shape, signature_lengths
from .delegation import Delegation, delegation
from .lower_quantized import place_integers
from .placeholders import with_placeholders
from .read import read_weights

FILE_NAME = "model.tflite"
ENGINE = "litert"
PER_TENSOR_PLAN = "tflite-int8-tensor"
# the oldest release in which per-channel kernels were seen to be right
_MIN_ENGINE_VERSION = "2.1.0"
# what XNNPACK never takes and costs next to nothing: a lookup copies one row a token, a constant is dequantized once
_CHEAP_OUTSIDE = frozenset({"EMBEDDING_LOOKUP", "CAST", "RESHAPE", "DEQUANTIZE"})


class LiteRTConverter:
    """Writes .tflite files; see ``base.Converter``."""

    format = "tflite"
    extra = "tflite"
    packages: tuple[str, ...] = ("litert_torch", "ai_edge_litert", "flatbuffers")
    distributions: tuple[str, ...] = ("litert-torch", "ai-edge-litert")
    engine = ENGINE
    by_default = True
    stated: Mapping[str, str] = {"activations": "int8 per row, at run time"}  # of the manifest's settings
    integer_activations = True
    half_precision = False
    round_channels_to = 8
    settings = NoSettings
    on_request = False
    file_format = "tflite"

    def plans(self, targets: Sequence[Target]) -> tuple[VariantPlan, ...]:
        """One variant for LiteRT, one per tensor for devices that have only the old tflite-runtime."""
        modern = tuple(target.name for target in targets if target.engine(ENGINE))
        old = tuple(target.name for target in targets if target.engine("tflite_runtime") and not target.engine(ENGINE))
        plans = []
        if modern or not targets:
            plans.append(VariantPlan("tflite", self.format, modern))
        if old:
            # tflite-runtime's per-channel kernels return wrong results: one scale a matrix, float embeddings
            plans.append(VariantPlan(PER_TENSOR_PLAN, self.format, old, granularity="tensor"))
        return tuple(plans)

    def host_engine(self) -> HostEngine:
        """LiteRT on the CPU, as on a device."""
        return runtime_engine(ENGINE)

    def alternatives(self, plan: VariantPlan) -> tuple[VariantPlan, ...]:
        """The plan alone."""
        return (plan,)

    def check(self, request: ExportRequest) -> None:
        """Raise ExportError for a layer whose format has no kernel, and for shapes that can't be static."""
        for length in signature_lengths(request):
            for spec in request.inputs:
                input_shape(request, spec, length)
        for path, layer in quantized_layers(request.module).items():
            if request.plan.granularity == "tensor":
                _check_per_tensor_layer(path, layer)
            else:
                _check_layer(path, layer)

    def export(self, request: ExportRequest, directory: Path) -> ExportedVariant:
        """Write ``model.tflite`` into ``directory``; raises ExportError, and MissingExtraError."""
        require(self)
        self.check(request)
        layers = quantized_layers(request.module)
        model = convert(with_placeholders(request.module, layers, request.lengths), request)
        placement = place_integers(model, layers)
        shrink_broadcast_constants(model)
        scale_queries(model)
        stored = self.store_weights(model)
        ends = {spec.name for spec in (*request.inputs, *request.outputs)}
        flatbuffer.compact(model, keep_names=frozenset(placement.tensor_names | ends))
        path = directory / FILE_NAME
        flatbuffer.save(model, path)
        _check_integers(path, placement.weights)
        per_tensor = request.plan.granularity == "tensor"
        return ExportedVariant(
            path=FILE_NAME,
            engine=ENGINE,
            sequence_lengths=request.lengths,
            fixed_batch=1,
            engine_packages=("ai_edge_litert", "tensorflow", *(("tflite_runtime",) if per_tensor else ())),
            min_engine_version=None if per_tensor else _MIN_ENGINE_VERSION,
            settings={**self.stated, **length_rule(request.module, "signature")},
            facts=_facts(model, path, layers, placement.weights),
            weight_formats=stored,
        )

    def store_weights(self, model: flatbuffer.Model) -> dict[str, int]:
        """Change how weights without integers are stored; how many then are, by format. Here they stay as they are."""
        return {}

    def read_weights(self, path: Path, layers: Mapping[str, IntegerWeight]) -> dict[str, IntegerWeight]:
        """Integers and scales of the tensors named like ``layers``; see ``read.read_weights``."""
        return read_weights(path, layers)


def _check_layer(path: str, layer: QuantizedLinear | QuantizedEmbedding) -> None:
    kind = "linear layer" if isinstance(layer, QuantizedLinear) else "embedding"
    where = f"format 'tflite': {kind} {path!r} is {layer.format}"
    if not layer.format.symmetric:
        raise ExportError(f"{where}: LiteRT multiplies symmetric weights only: use int8 or int4 for this layer")
    if layer.format.bits == 8 and layer.format.granularity == "block":
        raise ExportError(f"{where}: LiteRT has blocks for 4-bit weights only: use int8 or int4-block32 for this layer")
    columns = layer.weight.shape[1]
    if layer.format.bits == 4 and columns % 2:
        raise ExportError(
            f"{where} with {columns} columns: two 4-bit values share a byte, so LiteRT needs an even number: "
            "use int8 for this layer"
        )


def _check_per_tensor_layer(path: str, layer: QuantizedLinear | QuantizedEmbedding) -> None:
    if isinstance(layer, QuantizedEmbedding):
        raise ExportError(
            f"plan {PER_TENSOR_PLAN!r}: embedding {path!r} is {layer.format}: "
            "tflite-runtime looks up integer tables wrongly: keep it a float nn.Embedding"
        )
    if str(layer.format) != "int8-tensor":
        raise ExportError(
            f"plan {PER_TENSOR_PLAN!r}: linear layer {path!r} is {layer.format}: "
            "tflite-runtime computes right with one scale a matrix only: use int8-tensor"
        )


def _check_integers(path: Path, layers: Mapping[str, IntegerWeight]) -> None:
    """The exporter's own check of its file: every layer's integers and scales, bit for bit."""
    found = read_weights(path, layers)
    wrong = [name for name, weight in layers.items() if name not in found or not found[name].same_as(weight)]
    if wrong:
        raise ExportError(
            f"{path.name}: {len(wrong)} of {len(layers)} layers don't hold the chosen integers, "
            f"first {wrong[0]!r}: this is the exporter's fault, please report the layer's shape and format"
        )


def _facts(
    model: flatbuffer.Model, path: Path, layers: Collection[str], placed: Mapping[str, IntegerWeight]
) -> dict[str, Any]:
    """What the report says of the file; ``notes`` are for people."""
    first = model.subgraphs[0]
    operators = Counter(flatbuffer.operator_name(model, operator) for operator in first.operators)
    delegated, notes = _delegation(path)
    unused = sorted(set(layers) - set(placed))
    if unused:
        notes.append(f"no output depends on {', '.join(unused)}: not in the file")
    blocks = sum(weight.format.granularity == "block" for weight in placed.values())
    if blocks:
        notes.append(f"{blocks} layers have a scale a block, about 1.7 times slower here than a scale a channel")
    return {
        "operators": dict(sorted(operators.items())),
        "signatures": [flatbuffer.text(signature.signatureKey) for signature in model.signatureDefs],
        "layers_bit_equal": len(placed),
        "xnnpack_partitions": None if delegated is None else delegated.partitions,
        "xnnpack_left_out": None if delegated is None else delegated.left_out,
        "notes": notes,
    }


def _delegation(path: Path) -> tuple[Delegation | None, list[str]]:
    """What XNNPACK takes of the file (None: unknown), and a note when what it leaves costs something."""
    try:
        with quiet():
            delegated = delegation(path)
    except Exception as error:
        # the file is good; only this machine's interpreter can't say how it would run it
        return None, [f"which operators XNNPACK takes is unknown: {type(error).__name__}: {str(error)[:200]}"]
    slow = [f"{n} {name}" for name, n in delegated.left_out.items() if name not in _CHEAP_OUTSIDE]
    notes = [f"XNNPACK leaves to slower kernels, in each signature: {', '.join(slow)}"] if slow else []
    return delegated, notes
