"""Constants that the converter has spelled out, cut back to what they say.

Converting folds, for example, the one token-type row that all positions share into [1, sequence, hidden]
values, once for each signature. Elementwise operators broadcast: one row says the same.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from .flatbuffer import Model, Subgraph, Tensor, constant_bytes, operator_name, schema, type_name

_ELEMENTWISE = ("ADD", "SUB", "MUL")


def shrink_broadcast_constants(model: Model) -> None:
    """Shrink, in place, float operands of elementwise operators along axes on which all values are equal."""
    for subgraph in model.subgraphs:
        uses = Counter(int(index) for operator in subgraph.operators for index in operator.inputs)
        for operator in subgraph.operators:
            if operator_name(model, operator) not in _ELEMENTWISE:
                continue
            for operand, other in ((0, 1), (1, 0)):
                index = int(operator.inputs[operand])
                # another operator may need the full shape
                if uses[index] == 1:
                    _shrink(model, subgraph.tensors[index], _shape(subgraph, int(operator.inputs[other])))


def shrunk(values: NDArray[np.float32], other_shape: tuple[int, ...]) -> NDArray[np.float32]:
    """``values`` with length 1 on each axis along which they are constant and the other operand isn't.

    Broadcasting the result against an operand of ``other_shape`` gives what ``values`` gave.
    """
    for from_end in range(1, min(values.ndim, len(other_shape)) + 1):
        length = values.shape[-from_end]
        first = values.take([0], axis=-from_end)
        if (
            length > 1
            and other_shape[-from_end] == length
            and np.array_equal(np.broadcast_to(first, values.shape), values)
        ):
            values = first
    return values


def _shrink(model: Model, tensor: Tensor, other_shape: tuple[int, ...]) -> None:
    data = constant_bytes(model, tensor)
    if type_name(tensor) != "FLOAT32" or data.size <= 4:
        return
    values = data.view(np.float32).reshape(tuple(int(size) for size in tensor.shape))
    smaller = shrunk(values, other_shape)
    if smaller.size < values.size:
        tensor.shape = list(smaller.shape)
        model.buffers.append(schema().BufferT(data=np.ascontiguousarray(smaller).reshape(-1).view(np.uint8)))
        tensor.buffer = len(model.buffers) - 1


def _shape(subgraph: Subgraph, index: int) -> tuple[int, ...]:
    shape = subgraph.tensors[index].shape
    return () if shape is None else tuple(int(size) for size in shape)
