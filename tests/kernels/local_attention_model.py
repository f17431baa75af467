"""Tiny ONNX models of one LocalAttention node, sessions that run them, and what they should give, in float64."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

DOMAIN = "ai.edgeformer"


def make_model(*, dtype="float32", bias=False, body=False, left=1, right=1, scale=1.0, **attributes):
    """A model of one node; ``body`` adds a model-local function of the same name, which returns zeros."""
    kind = TensorProto.FLOAT16 if dtype == "float16" else TensorProto.FLOAT
    names = ["query", "key", "value", "keep", *(["bias"] if bias else [])]
    shapes = [["B", "H", "S", "D"], ["B", "K", "S", "D"], ["B", "K", "S", "D"], ["B", "S"], ["H", "L"]]
    kinds = [kind, kind, kind, TensorProto.FLOAT, TensorProto.FLOAT]
    inputs = [helper.make_tensor_value_info(n, k, s) for n, k, s in zip(names, kinds, shapes, strict=False)]
    output = helper.make_tensor_value_info("output", kind, ["B", "H", "S", "D"])
    attributes = {name: value for name, value in attributes.items() if value not in ((), [])}
    attributes |= {"left": left, "right": right, "scale": float(scale)}
    node = helper.make_node("LocalAttention", names, ["output"], domain=DOMAIN, **attributes)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    functions = []
    if body:
        zeros = helper.make_node("Sub", ["query", "query"], ["output"])
        functions = [
            helper.make_function(DOMAIN, "LocalAttention", names, ["output"], [zeros], opsets, list(attributes))
        ]
    graph = helper.make_graph([node], "graph", inputs, [output])
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)


def make_session(model: onnx.ModelProto, library=None, threads=1):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if library is not None:
        options.register_custom_ops_library(str(library))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def visible(length, keep, *, left, right, dilation=1, global_tokens=(), causal=0):
    """Which key each query sees: bool [batch, length, length]."""
    distance = np.arange(length)[None, :] - np.arange(length)[:, None]
    seen = (distance % dilation == 0) & (distance >= -left * dilation) & (distance <= right * dilation)
    is_global = np.isin(np.arange(length), global_tokens)
    seen |= is_global[None, :] | is_global[:, None]
    if causal:
        seen &= distance <= 0
    return seen[None] & (keep != 0)[:, None, :]


@np.errstate(invalid="ignore")  # padding may hold NaN and infinity
def reference(query, key, value, keep, bias=None, *, left, right, scale, dilation=1, **pattern):
    """Masked dense attention in float64."""
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    heads, length = query.shape[1:3]
    key, value = (np.repeat(x, heads // x.shape[1], axis=1) for x in (key, value))
    scores = query @ key.swapaxes(-1, -2) * scale
    if bias is not None:
        distance = np.arange(length)[None, :] - np.arange(length)[:, None]
        inside = (distance % dilation == 0) & (distance >= -left * dilation) & (distance <= right * dilation)
        scores += np.where(inside, bias[:, np.where(inside, distance // dilation + left, 0)], 0)
    seen = visible(length, keep, left=left, right=right, dilation=dilation, **pattern)[:, None]
    top = np.max(scores, axis=-1, keepdims=True, where=seen, initial=-1e30)
    weights = np.where(seen, np.exp(np.minimum(scores - top, 0)), 0)
    total = weights.sum(-1, keepdims=True)
    return (weights @ value) / np.where(total == 0, 1, total)
