"""From the operators that the tracer writes (opset 18) to those of an older opset, one rule an operator.

Each rule is the inverse of one entry in ONNX's own list of changes (docs/Changelog.md in the onnx
repository). What no rule knows is caught by ONNX's checker when the file is written.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ..base import ExportError
from .graph import Emitter, Lowering, replace
from .precision import keep_float32

# the oldest opset that the tracer writes itself
TRACED_OPSET = 18


def lower_to(lowering: Lowering, opset: int, without: frozenset[str]) -> None:
    """Rewrite ``lowering.model`` in place.

    Args:
        lowering: the model, of opset ``TRACED_OPSET`` or newer.
        opset: the opset wanted.
        without: operators to write with simpler ones although the opset has them.
    """
    for node in tuple(lowering.model.graph):
        _drop_attributes(node, opset)
        if node.op_type == "LayerNormalization" and (opset < 17 or node.op_type in without):
            _rewrite(lowering, node, _layer_normalization, opset)
        elif node.op_type in _REDUCTIONS and opset < 18:
            _axes_as_attribute(node)
        elif node.op_type == "Shape" and opset < 15 and ("start" in node.attributes or "end" in node.attributes):
            _rewrite(lowering, node, _shape_slice, opset)
        elif node.op_type == "CumSum":
            _rewrite(lowering, node, _float_cumulative_sum, opset)


_REDUCTIONS = frozenset(
    {
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
    }
    | {"ReduceSumSquare"}
)


def _drop_attributes(node: ir.Node, opset: int) -> None:
    """Attributes that say what is the case anyway."""
    if node.op_type == "Reshape":
        node.attributes.pop("allowzero", None)  # matters for empty tensors only, which no input can be
    if node.op_type == "Split" and opset < 18:
        node.attributes.pop("num_outputs", None)


def _rewrite(lowering: Lowering, node: ir.Node, rule: Callable[[Emitter, ir.Node, int], ir.Value], opset: int) -> None:
    emit = Emitter(lowering, str(node.outputs[0].name))
    replace(lowering.model.graph, node, emit, rule(emit, node, opset))


def _layer_normalization(emit: Emitter, node: ir.Node, opset: int) -> ir.Value:
    """(x − mean) / sqrt(variance + ε) · γ + β over the last axis (Ba et al. 2016, eq. 4), in float32."""
    if "axis" in node.attributes and node.attributes["axis"].as_int() != -1:
        raise ExportError(f"node {node.name!r}: LayerNormalization over several axes has no rule for opset {opset}")
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
    x, gamma, beta = [*node.inputs, None][:3]

    def mean(value: ir.Value | None, name: str) -> ir.Value:
        if opset < 18:
            return emit.node("ReduceMean", value, name=name, axes=[-1], keepdims=1)
        return emit.node("ReduceMean", value, emit.constant(np.array([-1])), name=name, keepdims=1)

    centred = emit.node("Sub", x, mean(x, "mean"), name="centred")
    variance = mean(emit.node("Mul", centred, centred, name="squared"), "variance")
    shifted = emit.node("Add", variance, emit.constant(np.array(epsilon, np.float32)), name="shifted")
    normed = emit.node("Div", centred, emit.node("Sqrt", shifted, name="deviation"), name="normed")
    result = emit.node("Mul", normed, gamma, name="scaled")
    if beta is not None:
        result = emit.node("Add", result, beta, name="normalized")
    for emitted in emit.nodes:
        keep_float32(emitted)
    return result


def _axes_as_attribute(node: ir.Node) -> None:
    """Before opset 18 the axes of a reduction are an attribute."""
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    node.attributes.pop("noop_with_empty_axes", None)
    if axes is None:
        return
    constant = ir.convenience.get_const_tensor(axes)
    if constant is None:
        raise ExportError(f"node {node.name!r}: the axes of {node.op_type} must be constant")
    node.attributes["axes"] = ir.AttrInt64s("axes", constant.numpy().reshape(-1).tolist())
    node.resize_inputs(1)


def _shape_slice(emit: Emitter, node: ir.Node, opset: int) -> ir.Value:
    """Before opset 15 Shape gives all dimensions."""
    start = node.attributes["start"].as_int() if "start" in node.attributes else 0
    end = node.attributes["end"].as_int() if "end" in node.attributes else np.iinfo(np.int64).max
    shape = emit.node("Shape", node.inputs[0], name="shape")
    bounds = (emit.constant(np.array([value], np.int64)) for value in (start, end, 0))
    return emit.node("Slice", shape, *bounds, name="dimensions")


def _float_cumulative_sum(emit: Emitter, node: ir.Node, opset: int) -> ir.Value:
    """TensorRT sums floats only; whole numbers below 2^24 (positions in a text) are exact in float32."""
    result_type = node.outputs[0].dtype
    if result_type in (ir.DataType.FLOAT, ir.DataType.FLOAT16):
        return emit.node("CumSum", *node.inputs, name="sum", **_plain(node))
    floats = emit.node("Cast", node.inputs[0], name="floats", to=ir.DataType.FLOAT)
    sums = emit.node("CumSum", floats, node.inputs[1], name="sums", **_plain(node))
    for emitted in emit.nodes:
        keep_float32(emitted)
    return emit.node("Cast", sums, name="integers", to=result_type)


def _plain(node: ir.Node) -> dict[str, int]:
    return {name: attribute.as_int() for name, attribute in node.attributes.items()}
