"""Turns the converter's opaque calls into operators that hold the chosen integers.

A FULLY_CONNECTED operator with float activations and integer weights is a dynamic-range operator: the runtime
quantizes each activation row to int8 as it comes and multiplies integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear
from .flatbuffer import (
    NO_TENSOR,
    ConstantPool,
    Model,
    Operator,
    Subgraph,
    operator_code,
    operator_name,
    operators,
    schema,
)
from .placeholders import EMBEDDING_CALL, LINEAR_CALL

Layer = QuantizedLinear | QuantizedEmbedding

# from which version on an operator reads such scales: an older runtime refuses the file, where it would have
# returned wrong numbers
_FULLY_CONNECTED_VERSION = {"tensor": 9, "channel": 12, "block": 13}
_EMBEDDING_LOOKUP_VERSION = 4


@dataclass(frozen=True)
class Placement:
    """What went into the model."""

    weights: Mapping[str, IntegerWeight]  # by layer path, which is the name of the weight's tensor
    tensor_names: frozenset[str]  # of weights, block scales and biases


def place_integers(model: Model, layers: Mapping[str, Layer]) -> Placement:
    """Replace every opaque call in ``model`` by an operator on the integers of its layer, in place.

    A layer that no output depends on (a pooler whose result isn't used) has no call and stays out of it.
    """
    pool = ConstantPool(model)
    placed: dict[str, IntegerWeight] = {}
    names: set[str] = set()
    for subgraph, operator in operators(model):
        if operator_name(model, operator) not in (LINEAR_CALL, EMBEDDING_CALL):
            continue
        path = bytes(operator.customOptions).decode()
        layer = layers[path]
        weight = placed.setdefault(path, layer.integer_weight())
        tensors = _Tensors(subgraph, pool, names)
        table = tensors.add_weight(path, weight)
        if isinstance(layer, QuantizedLinear):
            bias = NO_TENSOR if layer.bias is None else tensors.add_float(f"{path}.bias", layer.bias.detach().numpy())
            _become_fully_connected(model, operator, weight, table, bias)
        else:
            _become_embedding_lookup(model, operator, table)
        operator.customOptions = None
    return Placement(placed, frozenset(names))


def pack(integers: NDArray[np.int8], bits: int) -> NDArray[np.uint8]:
    """Integers, row by row, as the file stores them: two 4-bit values a byte, the first one low."""
    flat = np.ascontiguousarray(integers).reshape(-1)
    if bits == 8:
        return flat.view(np.uint8)
    nibbles = (flat.view(np.uint8) & 0xF).astype(np.uint8)
    if nibbles.size % 2:
        nibbles = np.append(nibbles, np.uint8(0))
    packed: NDArray[np.uint8] = nibbles[0::2] | (nibbles[1::2] << np.uint8(4))
    return packed


class _Tensors:
    """Adds constant tensors to one subgraph."""

    def __init__(self, subgraph: Subgraph, pool: ConstantPool, names: set[str]) -> None:
        self._subgraph = subgraph
        self._pool = pool
        self._names = names

    def add_weight(self, path: str, weight: IntegerWeight) -> int:
        """Index of a tensor [R, C] of integers called ``path``; one that is there already serves again."""
        parameters = schema().QuantizationParametersT()
        if weight.format.granularity == "block":
            details = schema().BlockwiseQuantizationT()
            details.scales = self._add(f"{path}.scale", weight.scale.astype(np.float16), "FLOAT16")
            details.zeroPoints = NO_TENSOR
            details.blockSize = weight.format.block_size
            parameters.details = details
            parameters.detailsType = schema().QuantizationDetails.BlockwiseQuantization
        else:
            parameters.scale = weight.scale.reshape(-1)
            parameters.zeroPoint = np.zeros(weight.scale.size, np.int64)
        packed = pack(weight.integers, weight.format.bits)
        return self._add(path, packed, f"INT{weight.format.bits}", weight.integers.shape, parameters)

    def add_float(self, name: str, values: NDArray[np.float32]) -> int:
        """Index of a float32 tensor called ``name``."""
        return self._add(name, np.asarray(values, np.float32), "FLOAT32")

    def _add(
        self,
        name: str,
        data: NDArray[Any],
        kind: str,
        shape: tuple[int, ...] | None = None,
        quantization: Any = None,
    ) -> int:
        self._names.add(name)
        tensor = schema().TensorT(
            shape=list(data.shape if shape is None else shape),
            type=getattr(schema().TensorType, kind),
            buffer=self._pool.add(data),
            name=name,
            quantization=quantization,
            hasRank=True,
        )
        self._subgraph.tensors.append(tensor)
        return len(self._subgraph.tensors) - 1


def _become_fully_connected(model: Model, operator: Operator, weight: IntegerWeight, table: int, bias: int) -> None:
    # XNNPACK quantizes activations with a zero point in any case; plain kernels do when asked, and GELU's
    # one-sided outputs need it: on tflite-runtime MiniLM's cosines fall from 0.998 to 0.993 without it
    options = schema().FullyConnectedOptionsT(keepNumDims=True, asymmetricQuantizeInputs=True)
    version = _FULLY_CONNECTED_VERSION[weight.format.granularity]
    operator.opcodeIndex = operator_code(model, "FULLY_CONNECTED", version)
    operator.inputs = [*operator.inputs, table, bias]
    operator.builtinOptionsType = schema().BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = options


def _become_embedding_lookup(model: Model, operator: Operator, table: int) -> None:
    operator.opcodeIndex = operator_code(model, "EMBEDDING_LOOKUP", _EMBEDDING_LOOKUP_VERSION)
    operator.inputs = [*operator.inputs, table]
    operator.builtinOptionsType = schema().BuiltinOptions.NONE
    operator.builtinOptions = None
