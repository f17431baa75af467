"""``x[mask] = number``, as wav2vec2 and its kin silence padding, as a choice at each place.

litert-torch makes it of a scatter, which needs to know the mask while it converts.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch


@cache
def register_boolean_index() -> None:
    """Tell the converter, once a process; other writes by index stay with its own rule."""
    registry = importlib.import_module("litert_torch.backend.lowerings.registry")
    operator = torch.ops.aten.index_put.default
    registry.lower(operator)(_lowering(registry.lookup(operator)))


def _lowering(own: Callable[..., Any]) -> Callable[..., Any]:
    def lower(context: Any, x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
        ir = importlib.import_module("litert_converter.mlir.ir")
        stablehlo = importlib.import_module("litert_converter.mlir.dialects.stablehlo")
        mask = indices[0]
        is_mask = len(indices) == 1 and mask.type.element_type == ir.IntegerType.get_signless(1)
        if not is_mask or accumulate or values.type.rank > 0:
            return own(context, x, indices, values, accumulate)
        shape = list(x.type.shape)
        every = ir.RankedTensorType.get(shape, mask.type.element_type)
        # a mask of fewer axes chooses by the first ones
        mask = stablehlo.broadcast_in_dim(every, mask, ir.DenseI64ArrayAttr.get(list(range(mask.type.rank))))
        number = stablehlo.broadcast_in_dim(x.type, values, ir.DenseI64ArrayAttr.get([]))
        return stablehlo.select(mask, number, x)

    return lower
