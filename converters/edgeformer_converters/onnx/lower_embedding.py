"""QuantizedEmbedding: look integers up first, make them float after, so that the table is never expanded.

    y = (float(Gather(q, i)) − Gather(zero, i)) · Gather(scale, i)

ONNX has no ``Gather`` on 4-bit tensors that all engines know: 4-bit tables are packed bytes, taken apart
after it.

Legend: V rows (vocabulary), H width, G blocks a row, B = H / G, R rank of the indices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..base import ExportError
from ..ops import IntegerWeight, QuantizedEmbedding
from .graph import Emitter, Lowering
from .packing import OFFSET, pack

FLOAT = ir.DataType.FLOAT


def lower_embedding(lowering: Lowering, emit: Emitter, node: ir.Node) -> ir.Value:
    """Emit the table that ``node`` names; returns float32 [..., H]."""
    layer = lowering.layers[emit.prefix]
    if not isinstance(layer, QuantizedEmbedding):
        raise TypeError(f"{emit.prefix}: expected a QuantizedEmbedding, got {type(layer).__name__}")
    weight, indices = layer.integer_weight(), node.inputs[0]
    values = _gathered_integers(emit, weight, indices)
    if weight.zero_point is not None:
        zero = _per_row(emit, "zero_point", by_block(weight.zero_point, weight), indices)
        values = emit.node("Sub", values, zero, name="centred")
    values = emit.node("Mul", values, _scale(emit, weight, indices), name="scaled")
    if weight.format.block_size is None:
        return values
    if indices.shape is None:
        raise ExportError(f"format 'onnx': layer {emit.prefix!r}: the rank of its indices is unknown")
    shape = np.array([0] * len(indices.shape) + [weight.integers.shape[1]], np.int64)  # 0 keeps a dimension
    return emit.node("Reshape", values, emit.constant(shape), name="output")


def by_block(array: NDArray[Any], weight: IntegerWeight) -> NDArray[Any]:
    """[V, H], [V, G] or [V, 1] as it is stored: per block [V, G, B], [V, G, 1] or [V, 1, 1], else
    unchanged.
    """
    if weight.format.block_size is None:
        return array
    return array.reshape(array.shape[0], min(array.shape[1], weight.groups), -1)


def _gathered_integers(emit: Emitter, weight: IntegerWeight, indices: ir.Value) -> ir.Value:
    """The rows as float32 [..., H] ([..., G, B] per block)."""
    integers = by_block(weight.integers, weight)
    if weight.format.bits == 8:
        rows = emit.node("Gather", emit.initializer("rows", integers), indices, name="gathered", axis=0)
        return emit.node("Cast", rows, name="floats", to=FLOAT)
    packed = emit.initializer("packed_rows", pack(integers, axis=-1))
    rows = emit.node("Gather", packed, indices, name="gathered", axis=0)
    low = emit.node("BitwiseAnd", rows, emit.constant(np.array(15, np.uint8)), name="low")
    high = emit.node("BitShift", rows, emit.constant(np.array(4, np.uint8)), name="high", direction="RIGHT")
    nibbles = emit.node("Concat", low, high, name="nibbles", axis=-1)
    size = integers.shape[-1]
    if size % 2:
        start, end, axis = (emit.constant(np.array([value], np.int64)) for value in (0, size, -1))
        nibbles = emit.node("Slice", nibbles, start, end, axis, name="nibbles_cut")
    floats = emit.node("Cast", nibbles, name="nibble_floats", to=FLOAT)
    return emit.node("Sub", floats, emit.constant(np.array(OFFSET, np.float32)), name="floats")


def _scale(emit: Emitter, weight: IntegerWeight, indices: ir.Value) -> ir.Value:
    """float32 [..., 1] ([..., G, 1] per block, [1] per tensor); stored as float16, which every scale fits."""
    if weight.block_scale is not None:
        return _per_row(emit, "block_scale", by_block(weight.block_scale, weight).astype(np.float16), indices)
    scale = _per_row(emit, "scale", by_block(weight.channel_scale, weight).astype(np.float16), indices)
    if weight.block_multiplier is None:
        return scale
    multiplier = _per_row(emit, "block_multiplier", by_block(weight.block_multiplier, weight), indices)
    return emit.node("Mul", scale, multiplier, name="two_level_scale")


def _per_row(emit: Emitter, name: str, array: NDArray[Any], indices: ir.Value) -> ir.Value:
    """An array with one entry a row, looked up; with one entry for all rows, taken as it is. As float32."""
    stored = emit.initializer(name, array)
    if array.shape[0] > 1:
        stored = emit.node("Gather", stored, indices, name=f"{name}_rows", axis=0)
    return emit.node("Cast", stored, name=f"{name}_float", to=FLOAT)
