"""Building, cleaning, checking and saving a graph: what the ONNX and TensorRT exporters share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
from numpy.typing import NDArray

from ..base import ExportError
from ..ops import QuantizedEmbedding, QuantizedLinear
from ..ops.local_attention import LocalAttention
from .linear_functions import Features
from .read import INTEGER_PARTS
from .trace import DOMAIN

PRODUCER = "edgeformer"
# protobuf messages can't be larger; beyond it ONNX needs a second file, which a bundle doesn't carry
MAX_FILE_BYTES = 2**31 - 1
# the IR version that came with an opset (the table in onnx/docs/Versioning.md): readers of one know the other
IR_VERSIONS = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}


@dataclass
class Lowering:
    """What the lowerings of one export share."""

    model: ir.Model
    layers: Mapping[str, QuantizedLinear | QuantizedEmbedding]
    name_counts: Counter[str] = field(default_factory=Counter)
    attentions: Mapping[str, LocalAttention] = field(default_factory=dict)
    linear_functions: dict[str, Features] = field(default_factory=dict)  # by name


class Emitter:
    """Collects the nodes that replace one node. Names of values and initializers start with the layer's
    path.
    """

    def __init__(self, lowering: Lowering, prefix: str) -> None:
        self.graph = lowering.model.graph
        self.prefix = prefix
        self.nodes: list[ir.Node] = []
        self._name_counts = lowering.name_counts

    def initializer(self, name: str, array: NDArray[Any] | ir.TensorProtocol) -> ir.Value:
        """The initializer ``<prefix>.<name>``; one that exists already (a layer called twice) is returned."""
        return self._initializer(f"{self.prefix}.{name}", array)

    def constant(self, array: NDArray[Any]) -> ir.Value:
        """A small constant, shared by all that use the same type, shape and values."""
        digits = "_".join(str(value).replace("-", "minus") for value in array.reshape(-1).tolist())
        dims = "x".join(str(size) for size in array.shape)
        return self._initializer(f"constant.{array.dtype}.{dims or 'scalar'}.{digits}", array)

    def shared(self, name: str, array: NDArray[Any]) -> ir.Value:
        """A constant that layers share by its name; ``array`` must be the same each time."""
        return self._initializer(f"constant.{name}", array)

    def node(self, op: str, *inputs: ir.Value | None, name: str, **attributes: Any) -> ir.Value:
        """One node with one output, called ``<prefix>.<name>``."""
        return self.multi(op, *inputs, names=(name,), **attributes)[0]

    def multi(self, op: str, *inputs: ir.Value | None, names: tuple[str, ...], **attributes: Any) -> list[ir.Value]:
        """One node with an output for each of ``names``."""
        domain = attributes.pop("domain", "")
        outputs = [ir.Value(name=self._unique(f"{self.prefix}.{name}")) for name in names]
        node = ir.node(op, list(inputs), attributes, domain=domain, outputs=outputs, name=f"{outputs[0].name}.node")
        self.nodes.append(node)
        return outputs

    def _initializer(self, name: str, array: NDArray[Any] | ir.TensorProtocol) -> ir.Value:
        existing = self.graph.initializers.get(name)
        if existing is not None:
            return existing
        tensor = ir.tensor(np.ascontiguousarray(array)) if isinstance(array, np.ndarray) else array
        tensor.name = name
        value = ir.Value(name=name, shape=ir.Shape(tensor.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.graph.register_initializer(value)
        return value

    def _unique(self, name: str) -> str:
        """``name``, with a number where a layer is called several times."""
        count = self._name_counts[name]
        self._name_counts[name] += 1
        return name if count == 0 else f"{name}.call{count}"


def lower_nodes(
    lowering: Lowering,
    lower: Mapping[str, Callable[[Lowering, Emitter, ir.Node], ir.Value]],
    domain: str = DOMAIN,
) -> None:
    """Replace every node of ``domain`` that ``lower`` has an entry for (by operator type) by what the entry
    emits.
    """
    for node in tuple(lowering.model.graph):
        if node.domain != domain or node.op_type not in lower:
            continue
        layer = node.attributes.get("layer")
        prefix = layer.as_string() if layer is not None else str(node.outputs[0].name)
        emitter = Emitter(lowering, prefix)
        replace(lowering.model.graph, node, emitter, lower[node.op_type](lowering, emitter, node))


def replace(graph: ir.Graph, node: ir.Node, emitter: Emitter, result: ir.Value) -> None:
    """Put the emitter's nodes where ``node`` was; ``result`` takes the place of its first output."""
    old = node.outputs[0]
    result.type, result.shape = old.type, old.shape
    result.name = old.name if old.is_graph_output() else result.name
    ir.convenience.replace_nodes_and_values(graph, node, [node], emitter.nodes, [old], [result])


def clean(model: ir.Model, opset: int) -> None:
    """Drop what no output needs, equal subexpressions, metadata (torch writes stack traces there), old
    opsets.
    """
    for step in (
        passes.RemoveUnusedNodesPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.IdentityEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.ClearMetadataAndDocStringPass(),
        passes.TopologicalSortPass(),
    ):
        step(model)
    _separate_names(model.graph)
    model.opset_imports.clear()
    model.opset_imports.update({"": opset} | {node.domain: 1 for node in model.graph if node.domain})
    model.functions.clear()
    model.ir_version = IR_VERSIONS[opset]
    model.producer_name, model.producer_version = PRODUCER, ""
    model.graph.name = PRODUCER


def _separate_names(graph: ir.Graph) -> None:
    """Rename inner values whose name an input, an output or an earlier value has: the tracer allows it, ONNX
    doesn't.
    """
    taken = {value.name for value in (*graph.inputs, *graph.outputs)} | set(graph.initializers)
    for node in graph:
        for value in node.outputs:
            if value.is_graph_output():
                continue
            base, count = value.name, 0
            while value.name in taken:
                count += 1
                value.name = f"{base}.inner{count}"
            taken.add(value.name)


def unused_layers(lowering: Lowering) -> list[str]:
    """Quantized layers that no output reads (a pooler that the task doesn't use): the file doesn't hold
    them.
    """
    names = lowering.model.graph.initializers
    return [layer for layer in lowering.layers if not any(f"{layer}.{part}" in names for part in INTEGER_PARTS)]


def infer_types(model: ir.Model, opset: int) -> None:
    """Give every value its type, from ONNX's own shape inference."""
    model.opset_imports[""] = opset
    passes.ShapeInferencePass(check_type=True, strict_mode=True, data_prop=True)(model)


def check_domains(model: ir.Model, allowed: Collection[str], format: str) -> None:
    """Raise ExportError when a node is left whose domain the format's engines don't know."""
    for node in model.graph:
        if node.domain not in allowed:
            raise ExportError(
                f"format {format!r}: node {node.name!r} is {node.domain}::{node.op_type}, "
                f"which has no lowering here: expected only domains {sorted(allowed)}"
            )


def save(model: ir.Model, path: Path, format: str) -> None:
    """Check with ONNX's own checker and write one file; equal models give equal bytes.

    Raises:
        ExportError: larger than 2 GB, or the checker refuses the graph.
    """
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values())
    if size > MAX_FILE_BYTES:
        raise ExportError(
            f"format {format!r}: the weights take {size} bytes, a single ONNX file holds {MAX_FILE_BYTES}: "
            "quantize more layers or use fewer bits"
        )
    proto = ir.to_proto(model)
    try:
        onnx.checker.check_model(proto, full_check=False)
    except onnx.checker.ValidationError as error:
        first_line = str(error).strip().splitlines()[0]
        raise ExportError(f"format {format!r}: ONNX's checker refuses the exported graph: {first_line}") from error
    path.write_bytes(proto.SerializeToString(deterministic=True))


def count_nodes(model: ir.Model) -> dict[str, int]:
    """Nodes by operator type, sorted by name: for the report."""
    counts = Counter(f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in model.graph)
    return dict(sorted(counts.items()))
