"""How QuantizedLinear and QuantizedEmbedding reach a MIL program with exactly their integers.

coremltools can restore integers from float weights and scales ("compression metadata"), but it narrows 8-bit
weights whose values happen to fit 4 bits, and chooses unsigned types by looking at the values. So the traced
graph carries the integers themselves, as arguments of an operator of ours,
``edgeformer_coreml::dequantized_weight``. Its translation writes what Core ML decompresses on loading:

    iOS18  constexpr_blockwise_shift_scale   data, scale and offset of equal rank; 4 and 8 bits, any block
    iOS17  constexpr_affine_dequantize       8 bits, one scale a tensor or a row

Legend: R rows, C columns, G groups a row.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ..base import ExportError, quantized_layers
from ..ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear

OPERATOR = "edgeformer_coreml::dequantized_weight"


def weight_name(layer_path: str) -> str:
    """The name, inside a MIL program, of the weight of the layer at ``layer_path``.

    MIL identifiers take letters, digits and ``_`` only; coremltools itself replaces every other character so.
    """
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in f"{layer_path}.weight")


@torch.library.custom_op(OPERATOR, mutates_args=())
def dequantized_weight(
    integers: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor | None, bits: int, name: str
) -> torch.Tensor:
    """float32 [R, C]: ``scale * (integers - offset)``, what the op called ``name`` will decompress to."""
    rows, columns = integers.shape
    blocks = (scale.shape[0], -1, scale.shape[1], columns // scale.shape[1])
    grouped = integers.to(torch.float32).reshape(blocks)
    if offset is not None:
        grouped = grouped - offset.to(torch.float32)[:, None, :, None]
    return (grouped * scale[:, None, :, None]).reshape(rows, columns)


class _ConstantWeight(torch.nn.Module):
    """Base of the two stand-ins: holds integers as buffers and makes them a float matrix by the operator."""

    integers: torch.Tensor
    scale: torch.Tensor
    offset: torch.Tensor | None

    def __init__(self, weight: IntegerWeight, name: str) -> None:
        super().__init__()
        scale, offset = stored_scale_and_offset(weight)
        self.bits = weight.format.bits
        self.name = name
        self.register_buffer("integers", torch.from_numpy(np.array(weight.integers)))
        self.register_buffer("scale", torch.from_numpy(scale))
        self.register_buffer("offset", None if offset is None else torch.from_numpy(offset))

    def matrix(self) -> torch.Tensor:
        """float32 [R, C]."""
        operator: Callable[..., torch.Tensor] = dequantized_weight
        return operator(self.integers, self.scale, self.offset, self.bits, self.name)


class _ConstantLinear(_ConstantWeight):
    def __init__(self, layer: QuantizedLinear, name: str) -> None:
        super().__init__(layer.integer_weight(), name)
        self.weight = layer.weight  # for code that reads its dtype; not traced
        self.bias = layer.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.matrix(), self.bias)


class _ConstantEmbedding(_ConstantWeight):
    def __init__(self, layer: QuantizedEmbedding, name: str) -> None:
        super().__init__(layer.integer_weight(), name)
        self.weight = layer.weight
        self.num_embeddings, self.embedding_dim = layer.num_embeddings, layer.embedding_dim
        self.padding_idx = layer.padding_idx

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        return F.embedding(indices, self.matrix())


def stored_scale_and_offset(weight: IntegerWeight) -> tuple[NDArray[np.float32], NDArray[np.int8] | None]:
    """Scale and offset as the file holds them: equal shapes, [R, G], or [1, 1] where both are per tensor."""
    if weight.zero_point is None:
        return np.array(weight.scale), None
    shape = np.broadcast_shapes(weight.scale.shape, weight.zero_point.shape)
    return np.array(np.broadcast_to(weight.scale, shape)), np.array(np.broadcast_to(weight.zero_point, shape))


def with_constant_weights(module: torch.nn.Module) -> torch.nn.Module:
    """A copy of ``module`` with every quantized layer replaced by its stand-in; shared layers stay shared.

    Only the tree of modules is copied. Parameters and buffers are those of ``module``.
    """
    stand_ins: dict[int, Any] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    for path, layer in quantized_layers(module).items():
        kind = _ConstantLinear if isinstance(layer, QuantizedLinear) else _ConstantEmbedding
        stand_ins[id(layer)] = kind(layer, weight_name(path)).eval()  # type: ignore[arg-type]
    return copy.deepcopy(module, stand_ins)


def register_translation() -> None:
    """Tell coremltools how to translate the operator. It touches no other; calling it again is harmless."""
    from coremltools.converters.mil.frontend.torch.torch_op_registry import register_torch_op

    register_torch_op(torch_alias=[OPERATOR], override=True)(_translate)


def _translate(context: Any, node: Any) -> None:
    """coremltools' hook: turn one traced ``dequantized_weight`` into a constexpr op named after its layer."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import types

    integers, scale, offset, bits, name = (_constant(context[key]) for key in node.inputs)
    stored = types.nptype_from_builtin(types.int4 if bits == 4 else types.int8)
    data = integers.astype(stored)
    offset = None if offset is None else offset.astype(stored)
    if _blocks_are_available():
        optional = {} if offset is None else {"offset": offset}
        result = Builder.constexpr_blockwise_shift_scale(data=data, scale=scale, name=str(name), **optional)
    else:
        result = Builder.constexpr_affine_dequantize(
            quantized_data=data,
            zero_point=_vector(np.zeros(scale.shape, stored) if offset is None else offset),
            scale=_vector(scale),
            axis=np.int32(0),
            name=str(name),
        )
    context.add(result, torch_name=node.name)


def _constant(argument: Any) -> Any:
    """The value of a constant argument; None where the optional offset is absent."""
    return getattr(argument, "val", argument)


def _blocks_are_available() -> bool:
    """True while converting for iOS18 or newer."""
    from coremltools.converters.mil._deployment_compatibility import AvailableTarget
    from coremltools.converters.mil.frontend._utils import is_current_opset_version_compatible_with

    return bool(is_current_opset_version_compatible_with(AvailableTarget.iOS18))


def _vector(column: NDArray[Any]) -> Any:
    """[R, 1] to [R]; [1, 1] to a scalar: constexpr_affine_dequantize takes rank 0 or 1 only."""
    if column.shape[1] != 1:
        raise ExportError(
            f"coreml: constexpr_affine_dequantize takes one scale a row, not {column.shape[1]}: use iOS18"
        )
    return column.dtype.type(column.item()) if column.size == 1 else column[:, 0]
