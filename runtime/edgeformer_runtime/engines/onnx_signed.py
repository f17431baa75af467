"""The uint8 weights of a file's integer products as int8, for a CPU on which those are exact, too, and faster.

A bundle's ONNX file holds its weights as uint8 with 128 as their zero, which ONNX Runtime multiplies exactly on every
CPU (edgeformer_converters/onnx/pair_sums.py). With VNNI or AMX its products of int8 weights are exact as well and take
less than half of the time, on Arm without the dot product two thirds of the instructions. Both stand for the same
integers: the highest bit of each byte differs, and the types that are written beside them. So a file turns into the
other in place, without another copy of it in a bundle.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple

import numpy as np

from . import protobuf

_UINT8, _INT8 = 2, 3  # of TensorProto.DataType
_ZERO = 128  # of uint8 weights
_HIGHEST_BIT = 0x80
_OPERATOR = "MatMulInteger"
# Field numbers in onnx.proto.
_GRAPH_OF_MODEL = 7
_NODE, _INITIALIZER, _VALUE_INFO = 1, 5, 13  # of GraphProto
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT = 1, 3
_TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 2, 8, 9
_INFO_NAME, _INFO_TYPE, _TYPE_TENSOR, _ELEMENT_TYPE = 1, 2, 1, 1


@dataclass
class _Node:
    kind: str
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    message: memoryview


@dataclass
class _Tensor:
    kind: Optional[memoryview] = None  # the byte of its type
    raw: Optional[memoryview] = None


@dataclass
class _Graph:
    """Views into a file; by name of what they make or hold."""

    nodes: Dict[str, _Node] = field(default_factory=dict)
    tensors: Dict[str, _Tensor] = field(default_factory=dict)
    types: Dict[str, memoryview] = field(default_factory=dict)


def with_signed_weights(path: Path, smallest: int = -128) -> Optional[bytes]:
    """The ONNX file with every uint8 weight of an integer product as int8; None where it has none, where one is below
    ``smallest``, or where one is made, or used, in a way that isn't known here: the file is right as it is.
    """
    buffer = io.BytesIO(path.read_bytes())  # its bytes are changed in place, and given out without a copy
    try:
        with buffer.getbuffer() as content:
            changed = _sign(content, smallest)
    except (IndexError, ValueError):  # not an ONNX file: its engine says so
        return None
    return buffer.getvalue() if changed else None


def _sign(content: memoryview, smallest: int) -> bool:
    graph = _read(content)
    changes = None if graph is None else _changes(graph, smallest)
    for kind, raw in changes or ():
        if kind is not None:
            kind[0] = _INT8
        if raw is not None:
            np.frombuffer(raw, np.uint8)[...] ^= np.uint8(_HIGHEST_BIT)
    return bool(changes)


def _read(content: memoryview) -> Optional[_Graph]:
    graphs = list(protobuf.messages(content, _GRAPH_OF_MODEL))
    if len(graphs) != 1:
        return None
    found = _Graph()
    for number, kind, part in protobuf.fields(graphs[0]):
        if kind != protobuf.BYTES:
            continue
        if number == _NODE:
            inputs, outputs = protobuf.texts(part, _NODE_INPUT), protobuf.texts(part, _NODE_OUTPUT)
            node = _Node("".join(protobuf.texts(part, _NODE_TYPE)), inputs, outputs, part)
            found.nodes.update((name, node) for name in outputs)
        elif number == _INITIALIZER:
            name, tensor = _tensor(part)
            found.tensors[name] = tensor
        elif number == _VALUE_INFO:
            _note_type(found, part)
    return found


def _tensor(message: memoryview) -> Tuple[str, _Tensor]:
    name, found = "", _Tensor()
    for number, kind, content in protobuf.fields(message):
        if number == _TENSOR_NAME:
            name = bytes(content).decode("utf-8", "replace")
        elif number == _TENSOR_TYPE and kind == protobuf.VARINT:
            found.kind = content
        elif number == _TENSOR_RAW:
            found.raw = content
    return name, found


def _note_type(graph: _Graph, message: memoryview) -> None:
    """Of a ValueInfoProto: where the type of a tensor's elements is written."""
    for value_type in protobuf.messages(message, _INFO_TYPE):
        for tensor_type in protobuf.messages(value_type, _TYPE_TENSOR):
            for number, kind, content in protobuf.fields(tensor_type):
                if number == _ELEMENT_TYPE and kind == protobuf.VARINT:
                    graph.types.update((name, content) for name in protobuf.texts(message, _INFO_NAME))


_Change = Tuple[Optional[memoryview], Optional[memoryview]]  # a type, the bytes of a tensor


def _changes(graph: _Graph, smallest: int) -> Optional[List[_Change]]:
    """What to change; None where one of the products can't be turned. Nibbles never make -128."""
    weights: Set[str] = set()
    zeros: Set[str] = set()
    casts: Set[str] = set()  # what ends the unpacking of nibbles, and what reshapes that
    for node in graph.nodes.values():
        if node.kind != _OPERATOR or len(node.inputs) != 4 or not _is_uint8(graph, node.inputs[3]):
            continue
        zeros.add(node.inputs[3])
        if _is_uint8(graph, node.inputs[1]):
            weights.add(node.inputs[1])
            continue
        unpacked = _made_by_cast(graph, node.inputs[1])
        if unpacked is None:
            return None
        casts.update(unpacked)
    if _used_elsewhere(graph, weights, zeros, casts):
        return None
    changes: List[_Change] = []
    for name in weights | zeros:
        tensor = graph.tensors[name]
        if tensor.raw is None:
            return None
        if name in weights and np.frombuffer(tensor.raw, np.uint8).min(initial=255) < smallest + _ZERO:
            return None
        changes.append((tensor.kind, tensor.raw))
    changes += [(_cast_target(graph.nodes[name]), None) for name in casts]
    changes += [(graph.types[name], None) for name in weights | zeros | casts if name in graph.types]
    return changes


def _is_uint8(graph: _Graph, name: str) -> bool:
    kind = graph.tensors.get(name, _Tensor()).kind
    return kind is not None and bytes(kind) == bytes([_UINT8])


def _made_by_cast(graph: _Graph, name: str) -> Optional[Tuple[str, ...]]:
    """The values between a weight of nibbles and the Cast to uint8 that ends their unpacking; None for another form."""
    passed: List[str] = []
    node = graph.nodes.get(name)
    while node is not None and node.kind in ("Reshape", "Cast"):
        passed.append(name)
        if node.kind == "Cast":
            return tuple(passed) if _cast_target(node) is not None else None
        name = node.inputs[0]
        node = graph.nodes.get(name)
    return None


def _cast_target(node: _Node) -> Optional[memoryview]:
    """Where a Cast names uint8 as its target; None for one to another type, and for other operators."""
    for attribute in protobuf.messages(node.message, _NODE_ATTRIBUTE):
        if protobuf.texts(attribute, _ATTRIBUTE_NAME) != ("to",):
            continue
        for number, kind, content in protobuf.fields(attribute):
            if number == _ATTRIBUTE_INT and kind == protobuf.VARINT and bytes(content) == bytes([_UINT8]):
                return content
    return None


def _used_elsewhere(graph: _Graph, weights: Set[str], zeros: Set[str], casts: Set[str]) -> bool:
    """Whether something reads what would change that isn't known to mean the same afterwards.

    A zero point may go through a Cast: nibbles are shifted by it.
    """
    changed = weights | zeros | casts
    for node in graph.nodes.values():
        for position, name in enumerate(node.inputs):
            if name not in changed:
                continue
            product = node.kind == _OPERATOR and (position == 3 if name in zeros else position == 1)
            shift = node.kind == "Cast" and name in zeros
            reshaped = node.kind == "Reshape" and name in casts and position == 0 and node.outputs[0] in casts
            if not (product or shift or reshaped):
                return True
    return False
