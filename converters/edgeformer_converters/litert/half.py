"""TFLite with float weights of 16 bits, for GPU delegates, which compute in float16 and hardly take integer weights.

Large constants are stored as FLOAT16, each behind a DEQUANTIZE to float32: the form that delegates know. One for GPUs
takes the 16 bits as they are; the CPU's kernels widen each once, when the model is loaded, and compute in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeformer_runtime.device.target import Target

from ..base import ExportError, VariantPlan
from . import flatbuffer
from .export import LiteRTConverter
from .flatbuffer import Model, Subgraph, schema

NAME = "tflite-fp16"
# What is smaller (biases, LayerNorm) stays float32: each constant costs an operator.
_SMALLEST = 1024
_DEQUANTIZE_VERSION = 3  # the first that reads FLOAT16


class LiteRTHalfConverter(LiteRTConverter):
    """Writes .tflite files whose weights are float16; see ``base.Converter``."""

    format = NAME
    by_default = False
    on_request = True
    integer_activations = False
    half_precision = True
    stated: Mapping[str, str] = {}

    def plans(self, targets: Sequence[Target]) -> tuple[VariantPlan, ...]:
        """One variant, of the model without its integers."""
        modern = tuple(target.name for target in targets if target.engine(self.engine))
        return (VariantPlan(NAME, self.format, modern, granularity="float"),)

    def store_weights(self, model: Model) -> dict[str, int]:
        """Store them in 16 bits."""
        return {"float16": halve_constants(model)}


def halve_constants(model: Model) -> int:
    """Store large float32 constants as float16, in place; how many.

    Raises:
        ExportError: a value beyond float16's range.
    """
    pool = flatbuffer.ConstantPool(model)
    halved = set[int]()
    for subgraph in model.subgraphs:
        used = {int(index) for operator in subgraph.operators for index in operator.inputs}
        for index in sorted(used - {flatbuffer.NO_TENSOR}):
            tensor = subgraph.tensors[index]
            data = flatbuffer.constant_bytes(model, tensor)
            if flatbuffer.type_name(tensor) == "FLOAT32" and data.size >= 4 * _SMALLEST:
                buffer = pool.add(_half(data.view(np.float32), flatbuffer.tensor_name(tensor)))
                _widen(model, subgraph, index, buffer)
                halved.add(buffer)
    return len(halved)


def _half(values: NDArray[np.float32], name: str) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        largest = float(np.abs(values).max())
        raise ExportError(
            f"format {NAME!r}: constant {name!r} holds {largest:g}, and float16 ends at 65504: leave this format out"
        )
    return half


def _widen(model: Model, subgraph: Subgraph, index: int, buffer: int) -> None:
    """Let tensor ``index`` come of a DEQUANTIZE of the float16 in ``buffer``."""
    tensor = subgraph.tensors[index]
    kind = schema().TensorType.FLOAT16
    subgraph.tensors.append(schema().TensorT(shape=list(tensor.shape), type=kind, buffer=buffer, hasRank=True))
    operator = schema().OperatorT(
        opcodeIndex=flatbuffer.operator_code(model, "DEQUANTIZE", _DEQUANTIZE_VERSION),
        inputs=[len(subgraph.tensors) - 1],
        outputs=[index],
        builtinOptionsType=schema().BuiltinOptions.DequantizeOptions,
        builtinOptions=schema().DequantizeOptionsT(),
    )
    tensor.buffer = 0
    subgraph.operators.insert(0, operator)
