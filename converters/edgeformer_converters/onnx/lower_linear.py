"""QuantizedLinear in operators that ONNX Runtime computes with its int8 kernels.

    x8, s, z = DynamicQuantizeLinear(x)         activations: uint8, one scale and zero point a tensor
    y = MatMulInteger(x8, w8, z, w_zero) · (s · scale) + bias

(the dynamic form of Jacob et al. 2018, eq. 4; the definition of DynamicQuantizeLinear is ONNX's own). ONNX
Runtime fuses the whole into its kernel DynamicQuantizeMatMul. With 4-bit weights and one scale a channel it is the
body of a function that a native kernel may stand in for (linear_functions.py). 4-bit weights stay 4-bit in the file;
the operators that unpack them, and multiply two-level blocks out, read constants only, so that a session computes the
exact 8-bit weight once, when it is created.

w8 is uint8 with 128 as its zero, and int8 only where no integer of the format goes beyond 64: ONNX Runtime's
products of uint8 with int8 saturate on x86 without VNNI (pair_sums.py), those with uint8 are exact on every CPU.
Where the former are exact, too, the runtime turns the file's weights into int8 when it loads them, because they
are faster there: with VNNI, and on Arm without the dot product (edgeformer_runtime/engines/onnx_signed.py).

Legend: K input channels, N output channels, G blocks a channel, B = K / G.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ..ops import IntegerWeight, QuantizedLinear
from . import linear_functions, row_scales
from .functions import DOMAIN
from .graph import Emitter, Lowering
from .linear_functions import Features
from .packing import OFFSET, pack
from .pair_sums import UINT8_ZERO, is_exact_as_int8, to_uint8

FLOAT, UINT8, INT32 = ir.DataType.FLOAT, ir.DataType.UINT8, ir.DataType.INT32


@dataclass(frozen=True)
class LinearLowering:
    """The lowering at one level of row scales, for one opset."""

    level: str
    opset: int

    def __call__(self, lowering: Lowering, emit: Emitter, node: ir.Node) -> ir.Value:
        """Emit the layer that ``node`` names; returns y, float32 [..., N]."""
        layer = lowering.layers[emit.prefix]
        if not isinstance(layer, QuantizedLinear):
            raise TypeError(f"{emit.prefix}: expected a QuantizedLinear, got {type(layer).__name__}")
        weight = layer.integer_weight()
        x = node.inputs[0]
        if x is None:
            raise TypeError(f"{emit.prefix}: the node has no input")
        if is_exact_as_int8(weight.format):
            return self._function(lowering, emit, x, layer, node)
        # 8-bit blocks have scales that differ along K: no integer product has one scale a channel
        if weight.block_scale is None:
            product = self._product(emit, x, weight, node)
        else:
            product = _float_product(emit, x, weight)
        if layer.bias is None:
            return product
        bias = emit.initializer("bias", layer.bias.detach().numpy())
        return emit.node("Add", product, bias, name="output")

    def _function(
        self, lowering: Lowering, emit: Emitter, x: ir.Value, layer: QuantizedLinear, node: ir.Node
    ) -> ir.Value:
        """4 bits, one scale a channel: one node of ``ai.edgeformer``, which a native kernel may stand in for."""
        weight = layer.integer_weight()
        channels, columns = weight.integers.shape
        features = Features()
        if row_scales.wanted(self.level, node):
            features = Features(row_scaled=True, lowest=row_scales.lowest(x))
        known = lowering.linear_functions.get(features.name, features)
        lowering.linear_functions[features.name] = known | features
        packed = emit.initializer("packed_integers", pack(weight.integers.T[None], axis=1))
        zero = emit.constant(np.zeros((), np.int8))
        if weight.zero_point is not None:
            zero = emit.initializer("zero_point", weight.zero_point.T[:, None, :])
        scale = emit.initializer("scale", weight.channel_scale[:, 0])
        bias = emit.shared(f"no_bias.{channels}", np.zeros(channels, np.float32))
        if layer.bias is not None:
            bias = emit.initializer("bias", layer.bias.detach().numpy())
        inputs = (x, packed, zero, scale, bias)
        return emit.node(features.name, *inputs, name="output", domain=DOMAIN, in_features=columns)

    def _product(self, emit: Emitter, x: ir.Value, weight: IntegerWeight, node: ir.Node) -> ir.Value:
        """x · wᵀ through an int8 product, float32 [..., N]."""
        if not row_scales.wanted(self.level, node):
            return _int8_product(emit, x, weight)
        divided, scale = row_scales.divide(emit, x, self.opset)
        return row_scales.multiply(emit, _int8_product(emit, divided, weight), scale)


def _int8_product(emit: Emitter, x: ir.Value, weight: IntegerWeight) -> ir.Value:
    x8, x_scale, x_zero = emit.multi("DynamicQuantizeLinear", x, names=("x8", "x_scale", "x_zero"))
    w8, w_zero = _whole_bytes(emit, weight) if weight.format.bits == 8 else _blocks(emit, weight)
    scale = emit.initializer("scale", weight.channel_scale[:, 0])
    sums = emit.node("MatMulInteger", x8, w8, x_zero, w_zero, name="int32")
    floats = emit.node("Cast", sums, name="float", to=FLOAT)
    return emit.node("Mul", floats, emit.node("Mul", x_scale, scale, name="xw_scale"), name="product")


def _whole_bytes(emit: Emitter, weight: IntegerWeight) -> tuple[ir.Value, ir.Value]:
    """The uint8 weight [K, N] and its zero point, uint8, [] or [N]."""
    integers = emit.initializer("integers", to_uint8(weight.integers.T))
    if weight.zero_point is None:
        return integers, _uint8_zero(emit)
    return integers, emit.initializer("zero_point", to_uint8(weight.zero_point[:, 0]))


def _uint8_zero(emit: Emitter) -> ir.Value:
    return emit.shared("uint8_zero", np.array(UINT8_ZERO, np.uint8))


def _blocks(emit: Emitter, weight: IntegerWeight) -> tuple[ir.Value, ir.Value]:
    """(q4 − zero_point) · block_multiplier + 128, uint8 [K, N], and its zero point []."""
    if weight.block_multiplier is None:
        raise TypeError(f"{emit.prefix}: expected 4-bit blocks, got {weight.format}")
    channels, columns = weight.integers.shape
    blocks = weight.integers.T.reshape(weight.groups, -1, channels)  # [G, B, N]
    wide = unpack_int32(emit, emit.initializer("packed_integers", pack(blocks, axis=1)), blocks.shape[1])
    wide = emit.node("Sub", wide, _zero_point(emit, weight), name="centred")
    multiplier = emit.initializer("block_multiplier", weight.block_multiplier.T[:, None, :])
    wide = emit.node("Mul", wide, emit.node("Cast", multiplier, name="multiplier", to=INT32), name="multiplied")
    zero = _uint8_zero(emit)
    wide = emit.node("Add", wide, emit.node("Cast", zero, name="offset", to=INT32), name="shifted")
    w8 = emit.node("Cast", wide, name="bytes_blocks", to=UINT8)
    return emit.node("Reshape", w8, emit.constant(np.array([columns, channels], np.int64)), name="bytes"), zero


def _zero_point(emit: Emitter, weight: IntegerWeight) -> ir.Value:
    """What to take off a nibble: its offset and, where there is one, the zero point; int32, [] or [G, 1,
    N].
    """
    offset = emit.constant(np.array(OFFSET, np.int32))
    if weight.zero_point is None:
        return offset
    stored = emit.initializer("zero_point", weight.zero_point.T[:, None, :])
    return emit.node("Add", emit.node("Cast", stored, name="zero_int32", to=INT32), offset, name="zero_offset")


def unpack_int32(emit: Emitter, packed: ir.Value, size: int) -> ir.Value:
    """uint8 [G, (B + 1) // 2, N] to the nibbles, int32 0…15, [G, B, N]."""
    low = emit.node("BitwiseAnd", packed, emit.constant(np.array(15, np.uint8)), name="low")
    high = emit.node("BitShift", packed, emit.constant(np.array(4, np.uint8)), name="high", direction="RIGHT")
    nibbles = emit.node("Concat", low, high, name="nibbles", axis=1)
    if size % 2:
        start, end, axis = (emit.constant(np.array([value], np.int64)) for value in (0, size, 1))
        nibbles = emit.node("Slice", nibbles, start, end, axis, name="nibbles_cut")
    return emit.node("Cast", nibbles, name="nibbles_int32", to=INT32)


def _float_product(emit: Emitter, x: ir.Value, weight: IntegerWeight) -> ir.Value:
    """8-bit blocks: a float32 weight, computed from the integers when a session is created, and a float32
    product.

    Not DequantizeLinear with ``block_size``: ONNX Runtime would turn it and the product into MatMulNBits,
    which quantizes activations in its own way (1 % off here) and is slower than float32 for more than a few
    rows.
    """
    channels, columns = weight.integers.shape
    blocks = weight.integers.T.reshape(weight.groups, -1, channels)  # [G, B, N]
    wide = emit.node("Cast", emit.initializer("integers", blocks), name="floats", to=FLOAT)
    if weight.zero_point is not None:
        stored = emit.initializer("zero_point", weight.zero_point.T[:, None, :])
        wide = emit.node("Sub", wide, emit.node("Cast", stored, name="zero_float", to=FLOAT), name="centred")
    scale = emit.initializer("block_scale", weight.scale.T[:, None, :])
    wide = emit.node("Mul", wide, scale, name="weight_blocks")
    shape = emit.constant(np.array([columns, channels], np.int64))
    return emit.node("MatMul", x, emit.node("Reshape", wide, shape, name="weight"), name="product")


def add_functions(lowering: Lowering, opset: int) -> None:
    """Define in the model the functions that its linear layers call."""
    for features in lowering.linear_functions.values():
        lowering.model.opset_imports[DOMAIN] = linear_functions.VERSION
        function = ir.from_proto(linear_functions.linear(features, opset))
        lowering.model.functions[function.identifier()] = function
