"""Reading, tidying and writing TFLite flatbuffers through the schema's object interface.

``Model`` and the objects below it (``Subgraph``, ``Tensor``, ``Operator``) are those of the generated schema
module, which is untyped: see the TFLite schema for their fields.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import ExportError

Model = Any
Subgraph = Any
Tensor = Any
Operator = Any

FILE_IDENTIFIER = b"TFL3"
NO_TENSOR = -1  # an optional input that isn't there
# kernels load constants with vector instructions: the schema asks for this, Python's writer ignores it
_CONSTANT_ALIGNMENT = 16
_LARGEST_FILE = 2**31 - 2**26  # offsets are signed 32-bit numbers; some room for what isn't constants


@cache
def schema() -> Any:
    """The generated TFLite schema; imported on first use because it belongs to an extra."""
    return importlib.import_module("ai_edge_litert.schema_py_generated")


@cache
def _names(enum: str) -> dict[int, str]:
    """Number to name of a schema enumeration ("BuiltinOperator", "TensorType")."""
    members = vars(getattr(schema(), enum)).items()
    return {number: name for name, number in members if isinstance(number, int)}


def builtin_operators() -> frozenset[str]:
    """Names of the operators that the schema knows."""
    return frozenset(_names("BuiltinOperator").values())


def type_name(tensor: Tensor) -> str:
    """The schema's name of the tensor's type: "INT8", "FLOAT32"."""
    return _names("TensorType")[tensor.type]


def operator_name(model: Model, operator: Operator) -> str:
    """The schema's name of the operator, like "FULLY_CONNECTED"; a custom operator goes by its own."""
    code = model.operatorCodes[operator.opcodeIndex]
    if code.customCode:
        return text(code.customCode)
    # files older than schema 3a have the deprecated field only
    return _names("BuiltinOperator")[max(code.builtinCode, code.deprecatedBuiltinCode)]


def tensor_name(tensor: Tensor) -> str:
    """The tensor's name, "" when it has none."""
    return text(tensor.name or "")


def text(value: bytes | str) -> str:
    """A name of the schema's objects: bytes when they were read from a file."""
    return value.decode() if isinstance(value, bytes) else value


def load(path: Path) -> Model:
    """The model in the file at ``path``; raises ExportError when it isn't a TFLite file."""
    raw = path.read_bytes()
    if raw[4:8] != FILE_IDENTIFIER:
        raise ExportError(f"{path}: not a TFLite file: expected identifier {FILE_IDENTIFIER!r}, got {raw[4:8]!r}")
    model = schema().ModelT.InitFromPackedBuf(raw, 0)
    for buffer in model.buffers:
        # constants may lie behind the flatbuffer, which old runtimes can't read: take them in
        if buffer.offset > 1:
            buffer.data = np.frombuffer(raw, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    return model


def save(model: Model, path: Path) -> None:
    """Write ``model``; equal models give equal bytes. Raises ExportError beyond 2 GB."""
    size = sum(0 if buffer.data is None else len(buffer.data) for buffer in model.buffers)
    if size > _LARGEST_FILE:
        raise ExportError(
            f"format 'tflite': {size / 1e9:.1f} GB of constants: a file holds 2 GB: use fewer bits a weight"
        )
    builder = _builder(size + (1 << 20))
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    path.write_bytes(builder.Output())


def constant_bytes(model: Model, tensor: Tensor) -> NDArray[np.uint8]:
    """uint8 [bytes]: what a constant tensor holds, packed as in the file; empty for a computed tensor."""
    data = model.buffers[tensor.buffer].data
    return np.zeros(0, np.uint8) if data is None else np.asarray(data, dtype=np.uint8)


def operators(model: Model) -> Iterator[tuple[Subgraph, Operator]]:
    """Every operator with the subgraph that it is in."""
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            yield subgraph, operator


class ConstantPool:
    """Adds constants to a model, equal ones once."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._index: dict[bytes, int] = {}

    def add(self, data: NDArray[Any]) -> int:
        """Index of a buffer that holds ``data``, of any dtype, in C order."""
        flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        key = hashlib.sha256(flat.data).digest()
        if key not in self._index:
            self._model.buffers.append(schema().BufferT(data=flat))
            self._index[key] = len(self._model.buffers) - 1
        return self._index[key]


def operator_code(model: Model, builtin: str, version: int) -> int:
    """Index of the operator code for ``builtin`` at ``version``, added when the model hasn't got it."""
    number = getattr(schema().BuiltinOperator, builtin)
    for index, code in enumerate(model.operatorCodes):
        if (code.builtinCode, code.version, code.customCode) == (number, version, None):
            return index
    # the old field is one signed byte; old runtimes read only it, new ones the larger of the two
    code = schema().OperatorCodeT(deprecatedBuiltinCode=min(number, 127), version=version, builtinCode=number)
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def compact(model: Model, keep_names: frozenset[str]) -> None:
    """Drop whatever no runtime reads: unused operator codes and constants, metadata, most names.

    Equal constants become one buffer, across signatures too. ``keep_names`` are the tensor names that stay.
    """
    model.metadata = None  # the converter's own version notes
    model.metadataBuffer = None
    model.description = None
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            if tensor_name(tensor) not in keep_names:
                tensor.name = None
    _share_constants(model)
    _drop_unused_operator_codes(model)


def _share_constants(model: Model) -> None:
    """One buffer for equal constants. Buffer 0 is the schema's mark for "no constant"."""
    old = model.buffers
    model.buffers = [schema().BufferT()]
    pool = ConstantPool(model)
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            data = old[tensor.buffer].data
            tensor.buffer = 0 if data is None or len(data) == 0 else pool.add(np.asarray(data, dtype=np.uint8))


def _drop_unused_operator_codes(model: Model) -> None:
    used = sorted({operator.opcodeIndex for _, operator in operators(model)})
    renumbered = {old: new for new, old in enumerate(used)}
    for _, operator in operators(model):
        operator.opcodeIndex = renumbered[operator.opcodeIndex]
    model.operatorCodes = [model.operatorCodes[index] for index in used]


def _builder(initial_size: int) -> Any:
    """A flatbuffers builder that aligns constants, and writes equal vectors once.

    Scales and zero points of a vocabulary's rows would otherwise be repeated in every signature.
    """
    flatbuffers = importlib.import_module("flatbuffers")
    written: dict[tuple[str, bytes], int] = {}

    class Builder(flatbuffers.Builder):  # type: ignore[misc, name-defined]
        def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802 - the library's name
            key = (x.dtype.str, hashlib.sha256(np.ascontiguousarray(x).data).digest())
            if key not in written:
                if x.dtype == np.uint8:
                    self.Prep(_CONSTANT_ALIGNMENT, x.size)
                written[key] = super().CreateNumpyVector(x)
            return written[key]

    return Builder(initial_size)
