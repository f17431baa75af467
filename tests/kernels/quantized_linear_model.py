"""Tiny ONNX models of one QuantizedLinear4 node, and what it should give, in exact integers."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "ai.edgeformer"
LEVELS = np.float32(255)


def pack(weights):
    """int [K, N] within -8...7 to uint8 [1, (K + 1) / 2, N]."""
    padded = np.pad(weights, ((0, weights.shape[0] % 2), (0, 0)))
    low, high = np.split((padded + 8).astype(np.uint8), 2)
    return (low | (high << 4))[None]


def make_model(weights, scale, bias, zero=None, *, name="QuantizedLinear4", body=None, weights_as_input=False, **other):
    """y = QuantizedLinear4(x); ``body``: a FunctionProto to define it; ``other``: stored constants, or in_features."""
    rows, columns = weights.shape
    constants = {
        "weights": pack(weights),
        "zero": np.array(0, np.int8) if zero is None else zero.astype(np.int8)[None, None],
        "scale": scale,
        "bias": bias,
    } | {key.replace("stored_", ""): value for key, value in other.items() if key != "in_features"}
    in_features = other.get("in_features", rows)
    node = helper.make_node(name, ["x", *constants], ["y"], domain=DOMAIN, in_features=in_features)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)]
    if weights_as_input:
        constants.pop("weights")
        inputs.append(helper.make_tensor_value_info("weights", TensorProto.UINT8, [1, (rows + 1) // 2, columns]))
    graph = helper.make_graph(
        [node],
        "graph",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=[body] if body else [], ir_version=10)


def row_scale(x):
    """The scale of each row, float32 [M, 1]: (max - min) / 255, 0 inside the range, the smallest normal at least."""
    low, high = np.minimum(x.min(1, keepdims=True), 0), np.maximum(x.max(1, keepdims=True), 0)
    scale = high / LEVELS - low / LEVELS
    return np.where(scale == 0, scale, np.maximum(scale, np.finfo(np.float32).tiny)).astype(np.float32)


def reference(x, weights, scale, bias, zero=None):
    """What a layer gives for x [M, K], each row with a scale of its own: float64 from exact integers."""
    x = np.asarray(x, np.float32)
    steps = row_scale(x)
    divisor = np.where(steps == 0, np.float32(1), steps)
    zeros = np.minimum(np.rint(-np.minimum(x.min(1, keepdims=True), 0) / divisor), LEVELS)
    levels = np.clip(np.rint(x.astype(np.float64) * (np.float32(1) / divisor)) + zeros, 0, LEVELS)
    centred = weights.astype(np.int64) - (0 if zero is None else zero.astype(np.int64))
    sums = (levels - zeros).astype(np.int64) @ centred
    return sums * steps.astype(np.float64) * scale + bias
