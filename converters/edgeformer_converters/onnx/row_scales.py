"""Row scales: dividing each token's activations by their largest value before they are quantized with one scale.

    y = r · (W · Q(x / r)) + bias,   r = max |x| over a token's channels

Exact in real arithmetic; with 8 bits it keeps one loud token from taking the resolution of all others, which is what
LLM.int8() (Dettmers et al. 2022, section 2.1, vector-wise quantization) does with scales of its own. In standard
operators it costs a pass or two over x and y, so each level covers more layers at a higher price. Emulated in torch on
MiniLM with int8 and int4 weights: the smallest cosine of 300 texts for a news classifier, and of sentence embeddings.
Measured on ONNX Runtime 1.31.1: the whole model's latency against fp32 at 128 tokens, 2 threads, in one run on a shared
machine; runs differ by about 0.05, and the benchmark gave 0.505 for feed_forward.

    none            0.9967   0.9901   0.41
    down            0.9977   0.9939   0.48   the feed-forward layer that reads the activation function
    feed_forward    0.9975   0.9975   0.45   both feed-forward layers
    all             0.9979   0.9961   0.55

Tried and left out: QuantizeLinear with the tokens as its axis, which needs no division but gives int8 activations, for
which MatMulInteger has no fast kernel (3.6 times fp32's latency).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .graph import Emitter
from .levels import LEVELS, SMALLEST

# These never go below minus this, so the larger of it and the largest value bounds every magnitude: no Abs is needed.
_LOWEST = {"Gelu": 0.17, "Relu": 0.0}
# the activation functions of feed-forward layers as exported; Tanh is the pooler's
_ACTIVATIONS = frozenset({"Gelu", "Relu", "Sigmoid", "Swish", "Mish", "Elu", "Selu", "HardSwish", "Erf"})
# what may lie between an input projection that holds value and gate in one, and the activation function
_PARTS = frozenset({"Split", "Slice", "SplitToSequence", "Div", "Mul"})
_STEPS = 2
_AXES_INPUT_OPSET = 18  # ReduceMax has its axes as an input from here on


def wanted(level: str, node: ir.Node) -> bool:
    """Whether the linear ``node`` gets row scales at a level.

    Feed-forward layers are told by the activation function beside them: not by their shapes, which pruned attention
    shares.
    """
    down, up = _reads_activation(node.inputs[0]), _feeds_activation(node.outputs[0], _STEPS)
    return {"none": False, "down": down, "feed_forward": down or up, "all": True}[level]


def _reads_activation(x: ir.Value | None) -> bool:
    """Is ``x`` the result of an activation function, or its product with a gate (Shazeer 2020)?"""
    producer = x.producer() if x is not None else None
    if producer is None:
        return False
    sources = [producer, *(_producers(producer) if producer.op_type == "Mul" else ())]
    return any(source.op_type in _ACTIVATIONS for source in sources)


def _feeds_activation(y: ir.Value, steps: int) -> bool:
    """Does ``y``, or a part of it, reach an activation function or the gate of one?"""
    for node, _ in y.uses():
        if node.op_type in _ACTIVATIONS:
            return True
        if node.op_type == "Mul" and any(other.op_type in _ACTIVATIONS for other in _producers(node)):
            return True
        if steps and node.op_type in _PARTS and any(_feeds_activation(part, steps - 1) for part in node.outputs):
            return True
    return False


def _producers(node: ir.Node) -> list[ir.Node]:
    return [found for value in node.inputs if value is not None and (found := value.producer()) is not None]


def lowest(x: ir.Value) -> float | None:
    """No value of ``x`` is below minus this; None where its producer doesn't tell."""
    producer = x.producer()
    return _LOWEST.get(producer.op_type) if producer is not None else None


def divide(emit: Emitter, x: ir.Value, opset: int) -> tuple[ir.Value, ir.Value]:
    """x / r and r, [..., K] and [..., 1]."""
    bound = lowest(x)
    magnitude = x if bound is not None else emit.node("Abs", x, name="abs")
    if opset >= _AXES_INPUT_OPSET:
        largest = emit.node("ReduceMax", magnitude, emit.constant(np.array([-1], np.int64)), name="largest")
    else:
        largest = emit.node("ReduceMax", magnitude, name="largest", axes=[-1])
    floor = emit.constant(np.array(max(bound or 0.0, SMALLEST), np.float32))
    scale = emit.node("Max", largest, floor, name="row_scale")
    # one division a token instead of one a value; not Reciprocal, which TensorRT 8.2 doesn't list
    inverse = emit.node("Div", emit.constant(np.array(1.0, np.float32)), scale, name="inverse")
    return emit.node("Mul", x, inverse, name="x_by_row"), scale


def multiply(emit: Emitter, product: ir.Value, scale: ir.Value) -> ir.Value:
    """The product with its rows' scales back, [..., N]."""
    return emit.node("Mul", product, scale, name="rows")


__all__ = ["LEVELS", "divide", "lowest", "multiply", "wanted"]
