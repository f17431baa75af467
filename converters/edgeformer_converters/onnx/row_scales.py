"""Row scales: dividing each token's activations by their largest value before they are quantized with one scale.

    y = r · (W · Q(x / r)) + bias,   r = max |x| over a token's channels

Exact in real arithmetic; with 8 bits it keeps one loud token from taking the resolution of all others, which is what
LLM.int8() (Dettmers et al. 2022, section 2.1, vector-wise quantization) does with scales of its own. In standard operators
it costs a pass or two over x and y, so each level covers more layers at a higher price. Measured as an emulation in torch
on MiniLM with int8 and int4 weights, smallest cosine of 300 texts for a news classifier / of sentence embeddings, and the
whole model's latency against ONNX Runtime fp32 at 128 tokens, 2 threads:

    none            0.9967 / 0.9901    0.43
    down            0.9977 / 0.9939    0.46    the feed-forward layer that reads the activation function
    feed_forward    0.9975 / 0.9975    0.54    both feed-forward layers
    all             0.9979 / 0.9961    0.64
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..ops import IntegerWeight
from .graph import Emitter
from .levels import LEVELS

# Below it, x / r would overflow float16. A token whose values are all smaller keeps its own, tiny, resolution.
SMALLEST = 2.0**-14
# These never go below minus this, so their largest value is their largest magnitude, or the floor is: no Abs is needed.
_LOWEST = {"Gelu": 0.17, "Relu": 0.0}
_AXES_INPUT_OPSET = 18  # ReduceMax has its axes as an input from here on


def wanted(level: str, weight: IntegerWeight) -> bool:
    """Whether a layer gets row scales at a level; feed-forward layers are those that aren't square."""
    channels, columns = weight.integers.shape
    return {"none": False, "down": columns > channels, "feed_forward": columns != channels, "all": True}[level]


def divide(emit: Emitter, x: ir.Value, opset: int) -> tuple[ir.Value, ir.Value]:
    """x / r and r, [..., K] and [..., 1]."""
    producer = x.producer()
    lowest = _LOWEST.get(producer.op_type) if producer is not None else None
    magnitude = x if lowest is not None else emit.node("Abs", x, name="abs")
    if opset >= _AXES_INPUT_OPSET:
        largest = emit.node("ReduceMax", magnitude, emit.constant(np.array([-1], np.int64)), name="largest")
    else:
        largest = emit.node("ReduceMax", magnitude, name="largest", axes=[-1])
    floor = emit.constant(np.array(max(lowest or 0.0, SMALLEST), np.float32))
    scale = emit.node("Max", largest, floor, name="row_scale")
    return emit.node("Div", x, scale, name="x_by_row"), scale


def multiply(emit: Emitter, product: ir.Value, scale: ir.Value) -> ir.Value:
    """The product with its rows' scales back, [..., N]."""
    return emit.node("Mul", product, scale, name="rows")


__all__ = ["LEVELS", "divide", "multiply", "wanted"]
