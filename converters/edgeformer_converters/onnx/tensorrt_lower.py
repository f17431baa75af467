"""QuantizedLinear and QuantizedEmbedding in TensorRT's explicit quantization: QuantizeLinear and
DequantizeLinear.

    y = DQ(Q(x)) · DQ(w) + bias        int8 on both sides of the product, all zero points 0

TensorRT fuses the three into one int8 product. It quantizes with fixed scales only; so that these fit every text, each
token's activations are divided by their largest value first (row_scales.py): they lie in -1…1, and 1/127 is their
scale, without calibration. Ranges fixed by calibration instead gave a smallest cosine of 0.959 over 500 news texts on
MiniLM: one loud token takes the resolution of all others. Weights have one scale an output channel. 4-bit weights per
channel are carried as int8 tensors with the same integers, because its own int4 is weight-only and per block:
``y = x · DQ(w4) + bias`` in float16.

Legend: K input channels, N output channels, G blocks a channel; V rows and H width of a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..ops import QuantizedEmbedding, QuantizedLinear
from . import row_scales
from .graph import Emitter, Lowering
from .precision import keep_float32

INT8_MAX = 127.0
# QuantizeLinear and DequantizeLinear have float32 scales and results below, either type from here on
FLOAT16_SCALES_OPSET = 19


@dataclass(frozen=True)
class QdqLowering:
    """The two lowerings, for one opset."""

    opset: int

    def linear(self, lowering: Lowering, emit: Emitter, node: ir.Node) -> ir.Value:
        """Emit the layer that ``node`` names; returns y, float [..., N]."""
        layer = lowering.layers[emit.prefix]
        if not isinstance(layer, QuantizedLinear):
            raise TypeError(f"{emit.prefix}: expected a QuantizedLinear, got {type(layer).__name__}")
        x = node.inputs[0]
        if x is None:
            raise TypeError(f"{emit.prefix}: the node has no input")
        if layer.format.granularity == "block":
            y = emit.node("MatMul", x, self._block_weight(emit, layer), name="product")
        else:
            divided, scale = row_scales.divide(emit, x, self.opset)
            y = emit.node("MatMul", self._quantized(emit, divided), self._channel_weight(emit, layer), name="product")
            y = row_scales.multiply(emit, y, scale)
        if layer.bias is not None:
            y = emit.node("Add", y, emit.initializer("bias", layer.bias.detach().numpy()), name="output")
        self._type(emit)
        return y

    def embedding(self, lowering: Lowering, emit: Emitter, node: ir.Node) -> ir.Value:
        """Emit the table that ``node`` names; returns float [..., H]."""
        layer = lowering.layers[emit.prefix]
        if not isinstance(layer, QuantizedEmbedding):
            raise TypeError(f"{emit.prefix}: expected a QuantizedEmbedding, got {type(layer).__name__}")
        weight = layer.integer_weight()
        table = self._dequantize(emit, "rows", weight.integers, weight.channel_scale[:, 0], axis=0, name="table")
        y = emit.node("Gather", table, node.inputs[0], name="output", axis=0)
        self._type(emit)
        return y

    def _quantized(self, emit: Emitter, x: ir.Value) -> ir.Value:
        """x, between -1 and 1, through int8 and back."""
        # exact in both float types, so that every opset quantizes alike
        stored = emit.constant(np.array(1 / INT8_MAX, np.float16).astype(np.float32))
        zero = emit.constant(np.zeros((), np.int8))
        x8 = emit.node("QuantizeLinear", x, stored, zero, name="x8")
        return emit.node("DequantizeLinear", x8, stored, zero, name="x")

    def _channel_weight(self, emit: Emitter, layer: QuantizedLinear) -> ir.Value:
        """[K, N]."""
        weight = layer.integer_weight()
        scale = weight.channel_scale[:, 0]
        return self._dequantize(emit, "integers", weight.integers.T, scale, axis=1, name="weight")

    def _dequantize(
        self,
        emit: Emitter,
        part: str,
        integers: NDArray[np.int8],
        scale: NDArray[np.float32],
        axis: int,
        name: str,
    ) -> ir.Value:
        """A constant through DequantizeLinear, one scale along ``axis``, or one for the tensor."""
        one = scale.size == 1  # per tensor: the operator wants a scalar
        zero = np.zeros(() if one else scale.shape, np.int8)
        inputs = (
            emit.initializer(part, integers),
            emit.initializer("scale", scale.reshape(()) if one else scale),
            emit.constant(zero) if one else emit.shared(f"zeros.{scale.size}", zero),
        )
        attributes = {} if one else {"axis": axis}
        return emit.node("DequantizeLinear", *inputs, name=name, **attributes)

    def _block_weight(self, emit: Emitter, layer: QuantizedLinear) -> ir.Value:
        """[K, N], from INT4 and scales [G, N]."""
        weight = layer.integer_weight()
        integers = ir.Tensor(
            np.ascontiguousarray(weight.integers.T).astype(ir.DataType.INT4.numpy()), dtype=ir.DataType.INT4
        )
        scale = emit.initializer("block_scale", weight.scale.T)
        return emit.node(
            "DequantizeLinear",
            emit.initializer("integers", integers),
            scale,
            name="weight",
            axis=0,
            block_size=layer.format.block_size,
        )

    def _type(self, emit: Emitter) -> None:
        """At old opsets keep the whole pattern in float32: a Cast between DQ and MatMul would hide it from
        TensorRT.
        """
        if self.opset < FLOAT16_SCALES_OPSET:
            for node in emit.nodes:
                keep_float32(node)
