"""From a float32 graph to one typed float16, with casts around what needs float32.

Written into the graph, and not left to a builder flag, because TensorRT 11 has no such flag any more.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16
_MARK = "keep_float32"
# Sums over many values, and small constants (1e-12) that float16 would turn into 0. Softmax isn't among them:
# TensorRT accumulates it in float32 itself.
FLOAT32_OPERATORS = frozenset(
    {
        "LayerNormalization",
        "ReduceSum",
        "ReduceMean",
        "ReduceL2",
        "Clip",
        "CumSum",
        "Pow",
        "Sqrt",
        "ConstantOfShape",
    }
    | {"Range"}
)


def keep_float32(node: ir.Node) -> None:
    """Exempt ``node`` from ``to_float16``."""
    node.meta[_MARK] = True


class _Typing:
    """One run over a graph: which precision a value has by now, and casts made so far."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.made: dict[tuple[str, ir.DataType], ir.Value] = {}

    def as_type(self, value: ir.Value, wanted: ir.DataType, before: ir.Node) -> ir.Value:
        """``value`` in the wanted float type; initializers are converted, other values cast, once each."""
        if value.dtype not in (FLOAT, HALF) or value.dtype == wanted:
            return value
        key = (str(value.name), wanted)
        if key not in self.made:
            self.made[key] = self._initializer(value, wanted) or self._cast(value, wanted, before)
        return self.made[key]

    def _initializer(self, value: ir.Value, wanted: ir.DataType) -> ir.Value | None:
        if not value.is_initializer() or value.const_value is None:
            return None
        array = value.const_value.numpy()
        if wanted == HALF:  # a mask's float32 minimum becomes float16's, not infinity
            limits = np.finfo(np.float16)
            array = np.clip(array, limits.min, limits.max)
        array = array.astype(wanted.numpy())
        return _named_initializer(self.graph, f"{value.name}.{wanted.name.lower()}", array)

    def _cast(self, value: ir.Value, wanted: ir.DataType, before: ir.Node) -> ir.Value:
        name = f"{value.name}.{wanted.name.lower()}"
        result = ir.Value(name=name, type=ir.TensorType(wanted), shape=value.shape)
        cast = ir.node("Cast", [value], {"to": wanted}, outputs=[result], name=f"{name}.node")
        producer = value.producer()
        if producer is None:
            self.graph.insert_before(before, cast)
        else:
            self.graph.insert_after(producer, cast)
        return result


def to_float16(model: ir.Model) -> None:
    """Type ``model`` in place; every value must have its type. Outputs of the graph stay what they were."""
    graph = model.graph
    typing = _Typing(graph)
    for node in tuple(graph):
        wanted = FLOAT if node.op_type in FLOAT32_OPERATORS or node.meta.get(_MARK) else HALF
        for index, value in enumerate(node.inputs):
            if value is not None:
                node.replace_input_with(index, typing.as_type(value, wanted, node))
        if node.op_type == "Cast" and node.attributes["to"].as_int() == FLOAT and wanted == HALF:
            node.attributes["to"] = ir.AttrInt64("to", HALF)
        for value in node.outputs:
            if value.dtype == FLOAT:
                value.type = ir.TensorType(wanted)
    _keep_output_types(graph)
    _drop_unused_float32(graph)


def _keep_output_types(graph: ir.Graph) -> None:
    for index, output in enumerate(graph.outputs):
        if output.dtype != HALF:
            continue
        name = output.name
        output.name = f"{name}.float16"
        result = ir.Value(name=name, type=ir.TensorType(FLOAT), shape=output.shape)
        graph.append(ir.node("Cast", [output], {"to": FLOAT}, outputs=[result], name=f"{name}.node"))
        graph.outputs[index] = result


def _drop_unused_float32(graph: ir.Graph) -> None:
    """A converted initializer takes the name of the one it replaces, where that one has no reader left."""
    suffix = f".{HALF.name.lower()}"
    for name in list(graph.initializers):
        value, half = graph.initializers.get(name), graph.initializers.get(f"{name}{suffix}")
        if value is None or half is None or value.uses() or value.is_graph_output():
            continue
        del graph.initializers[name]
        del graph.initializers[f"{name}{suffix}"]
        half.name = name
        graph.register_initializer(half)


def _named_initializer(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    tensor = ir.tensor(np.ascontiguousarray(array), name=name)
    value = ir.Value(name=name, shape=ir.Shape(tensor.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value
