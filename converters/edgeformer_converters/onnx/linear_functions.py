"""Linear layers with 4-bit weights as model-local functions of ``ai.edgeformer``, for sessions without a kernel.

    QuantizedLinear4     one scale for all activations, as DynamicQuantizeLinear makes it
    RowScaledLinear4     row scales around it (row_scales.py)

A session inlines the body; one that registers the native library takes the kernel of the same name instead, which gives
every row a scale of its own. Weights, their zero points, scales and biases are inputs, so that one function serves all
layers of a file. 8-bit weights have none: ONNX Runtime's own product is as fast as a kernel could be on the CPUs
without VNNI, and faster with it.

Legend: K input channels, N output channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx.parser

from .functions import DOMAIN
from .levels import SMALLEST
from .packing import OFFSET

INT8, INT32, FLOAT = onnx.TensorProto.INT8, onnx.TensorProto.INT32, onnx.TensorProto.FLOAT
PLAIN, ROW_SCALED = "QuantizedLinear4", "RowScaledLinear4"
VERSION = 1


@dataclass(frozen=True)
class Features:
    """What a layer's function must be able to do.

    Args:
        row_scaled: activations are divided by their row's largest magnitude first.
        lowest: no activation is below minus this, so the largest value bounds every magnitude; None where unknown.
    """

    row_scaled: bool = False
    lowest: float | None = None

    @property
    def name(self) -> str:
        """The function's name, which is the kernel's too."""
        return ROW_SCALED if self.row_scaled else PLAIN

    def __or__(self, other: Features) -> Features:
        """What serves two layers of one name."""
        known = self.lowest is not None and other.lowest is not None
        return Features(self.row_scaled, max(self.lowest or 0.0, other.lowest or 0.0) if known else None)


def linear(features: Features, opset: int) -> onnx.FunctionProto:
    """The definition, for a model of ``opset`` (18 or newer).

    Inputs x float32 [..., K]; weights uint8 [1, (K + 1) / 2, N] (packing.py); zero int8 [] or [1, 1, N]; scale float32
    [1] or [N]; bias float32 [N]. Output float32 [..., N]. Attribute in_features, K.
    """
    divide, x = _divide(features) if features.row_scaled else ("", "x")
    multiply = "product = Mul (one_scale, row_scale)" if features.row_scaled else "product = Identity (one_scale)"
    return onnx.parser.parse_function(f"""
    <opset_import: ["" : {opset}], domain: "{DOMAIN}">
    {features.name} <in_features> (x, weights, zero, scale, bias) => (y)
    {{
      {_UNPACK}
      {divide}
      x8, x_scale, x_zero = DynamicQuantizeLinear ({x})
      sums = MatMulInteger (x8, integers, x_zero, no_zero)
      floats = Cast <to = {FLOAT}> (sums)
      xw_scale = Mul (x_scale, scale)
      one_scale = Mul (floats, xw_scale)
      {multiply}
      y = Add (product, bias)
    }}""")


# Nibbles to int8 [K, N], from constants alone, so that a session computes them once.
_UNPACK = f"""
      low_nibble = Constant <value = uint8 {{15}}> ()
      four = Constant <value = uint8 {{4}}> ()
      offset = Constant <value = int32 {{{OFFSET}}}> ()
      no_zero = Constant <value = int8 {{0}}> ()
      first = Constant <value_ints = [0]> ()
      axis1 = Constant <value_ints = [1]> ()
      inputs = Constant <value_int: int = @in_features> ()
      last = Reshape (inputs, axis1)
      low = BitwiseAnd (weights, low_nibble)
      high = BitShift <direction = "RIGHT"> (weights, four)
      nibbles = Concat <axis = 1> (low, high)
      cut = Slice (nibbles, first, last, axis1)
      wide = Cast <to = {INT32}> (cut)
      zero_int32 = Cast <to = {INT32}> (zero)
      zero_offset = Add (zero_int32, offset)
      centred = Sub (wide, zero_offset)
      blocks = Cast <to = {INT8}> (centred)
      integers = Squeeze (blocks, first)"""


def _divide(features: Features) -> tuple[str, str]:
    """x / r and r, the largest magnitude of each row."""
    magnitude = "magnitude = Abs (x)" if features.lowest is None else "magnitude = Identity (x)"
    text = f"""
      one = Constant <value = float {{1.0}}> ()
      floor = Constant <value = float {{{max(features.lowest or 0.0, SMALLEST)!r}}}> ()
      last_axis = Constant <value_ints = [-1]> ()
      {magnitude}
      largest = ReduceMax (magnitude, last_axis)
      row_scale = Max (largest, floor)
      inverse = Div (one, row_scale)
      divided = Mul (x, inverse)"""
    return text, "divided"
