"""Attention's scale on the queries instead of on the scores.

Families compute (Q·Kᵀ)·scale: one more pass over sequence² values a head. (Q·scale)·Kᵀ is the same product with a
pass over sequence·head_dim values: MiniLM at 384 tokens takes 4 to 6 % less time on one thread.
"""

from __future__ import annotations

import math
from collections import Counter

from .flatbuffer import Model, Operator, Subgraph, constant_bytes, operator_name, schema, type_name


def scale_queries(model: Model) -> None:
    """Move, in place, each product by a constant scalar from behind a BATCH_MATMUL to its first operand.

    Only where that operand is smaller than the result and nothing else reads the unscaled result.
    """
    for subgraph in model.subgraphs:
        readers = Counter(int(index) for operator in subgraph.operators for index in operator.inputs)
        readers.update(int(index) for index in subgraph.outputs)
        made_by = {int(operator.outputs[0]): operator for operator in subgraph.operators if len(operator.outputs) == 1}
        for scale in list(subgraph.operators):
            if operator_name(model, scale) != "MUL":
                continue
            for scores, factor in (scale.inputs, scale.inputs[::-1]):
                product = made_by.get(int(scores))
                if (
                    product is not None
                    and operator_name(model, product) == "BATCH_MATMUL"
                    and readers[int(scores)] == 1
                    and _is_scalar(model, subgraph, int(factor))
                    and _size(subgraph, product.inputs[0]) < _size(subgraph, scores)
                ):
                    _swap(subgraph, product, scale, int(factor))
                    break


def _swap(subgraph: Subgraph, product: Operator, scale: Operator, factor: int) -> None:
    queries = subgraph.tensors[product.inputs[0]]
    subgraph.tensors.append(schema().TensorT(shape=list(queries.shape), type=queries.type, hasRank=True))
    product.outputs, scale.outputs = scale.outputs, [len(subgraph.tensors) - 1]
    scale.inputs = [product.inputs[0], factor]
    product.inputs = [scale.outputs[0], *product.inputs[1:]]
    # operators are run in the order of the list
    subgraph.operators.remove(scale)
    subgraph.operators.insert(subgraph.operators.index(product), scale)


def _is_scalar(model: Model, subgraph: Subgraph, index: int) -> bool:
    tensor = subgraph.tensors[index]
    return type_name(tensor) == "FLOAT32" and constant_bytes(model, tensor).size == 4


def _size(subgraph: Subgraph, index: int) -> int:
    return math.prod(int(size) for size in subgraph.tensors[index].shape)
