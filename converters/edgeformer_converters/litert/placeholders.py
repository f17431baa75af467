"""Opaque calls in place of quantized layers.

The converter folds constants into weights (LayerNorm's gamma, attention's scale) and so would change chosen
integers. It can't fold what it doesn't see: a quantized layer enters it as a custom call without weights that
carries the layer's path, and ``lower_quantized.py`` turns the call into an operator on the layer's integers.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, cast

import torch

from ..chunked_attention import ChunkedAttention, local_layers
from ..ops import QuantizedEmbedding, QuantizedLinear
from .layer_norm import DeviationsFirst, layer_norms

_NAMESPACE = "edgeformer_litert"
# the converter turns calls with the prefix "custom_call." into custom operators of that name
LINEAR_CALL = "custom_call.edgeformer.linear"
EMBEDDING_CALL = "custom_call.edgeformer.embedding"


class _Placeholder(torch.nn.Module):
    """What both kinds share. ``weight`` has a shape and a dtype, and no values to compute with."""

    def __init__(self, path: str, weight_shape: torch.Size) -> None:
        super().__init__()
        self.path = path
        self.weight_shape = weight_shape

    @property
    def weight(self) -> torch.Tensor:
        return torch.empty(self.weight_shape, dtype=torch.float32, device="meta")


class LinearPlaceholder(_Placeholder):
    """Stands where a QuantizedLinear stood while the model is being converted."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float [..., in_features] to float [..., out_features], without values: for tracing only."""
        call = torch.ops.edgeformer_litert.linear
        return cast(torch.Tensor, call(x, self.path, self.weight_shape[0]))


class EmbeddingPlaceholder(_Placeholder):
    """Stands where a QuantizedEmbedding stood while the model is being converted."""

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """int [...] to float [..., embedding_dim], without values: for tracing only."""
        width = self.weight_shape[1]
        # the runtime's lookup takes a vector of indices
        call = torch.ops.edgeformer_litert.embedding
        rows = cast(torch.Tensor, call(indices.reshape(-1), self.path, width))
        return rows.reshape(*indices.shape, width)


def with_placeholders(
    module: torch.nn.Module,
    layers: Mapping[str, QuantizedLinear | QuantizedEmbedding],
    lengths: Sequence[int] = (),
) -> torch.nn.Module:
    """A copy of ``module`` with a placeholder for each of ``layers``, which are not copied themselves, local
    attention in operators that the converter knows, one form for each of ``lengths``, and LayerNorm in few operators.
    """
    _register_calls()
    memo: dict[int, Any] = {}  # deepcopy takes what it finds here as the copy
    for path, layer in layers.items():
        kind = LinearPlaceholder if isinstance(layer, QuantizedLinear) else EmbeddingPlaceholder
        memo[id(layer)] = kind(path, layer.weight.shape)
    for attention in local_layers(module).values():
        memo[id(attention)] = ChunkedAttention(attention, lengths, fixed=True)
    for norm in layer_norms(module):
        memo[id(norm)] = DeviationsFirst(norm)
    return copy.deepcopy(module, memo).eval()


@cache
def _register_calls() -> torch.library.Library:
    """Tell torch the shapes of both calls, once a process."""
    # torch leaves this class without annotations
    library: Any = torch.library.Library(_NAMESPACE, "DEF")  # type: ignore[no-untyped-call]
    library.define("linear(Tensor x, str path, int width) -> Tensor")
    library.define("embedding(Tensor indices, str path, int width) -> Tensor")

    def linear(x: torch.Tensor, path: str, width: int) -> torch.Tensor:
        return x.new_empty((*x.shape[:-1], width), dtype=torch.float32)

    def embedding(indices: torch.Tensor, path: str, width: int) -> torch.Tensor:
        return indices.new_empty((*indices.shape, width), dtype=torch.float32)

    torch.library.register_fake(f"{_NAMESPACE}::linear", linear, lib=library)
    torch.library.register_fake(f"{_NAMESPACE}::embedding", embedding, lib=library)
    # the cache keeps it alive: a library that is collected takes its operators along
    return cast(torch.library.Library, library)


@cache
def register_lowerings() -> None:
    """Tell the converter what to write for both calls, once a process."""
    _register_calls()
    registry = importlib.import_module("litert_torch.backend.lowerings.registry")
    registry.lower(torch.ops.edgeformer_litert.linear.default)(_lowering(LINEAR_CALL, axes_replaced=1))
    registry.lower(torch.ops.edgeformer_litert.embedding.default)(_lowering(EMBEDDING_CALL, axes_replaced=0))


def _lowering(call: str, axes_replaced: int) -> Callable[[Any, Any, str, int], Any]:
    """A converter's rule: the result has the input's axes but the last ``axes_replaced``, then the width."""

    def lower(_context: Any, value: Any, path: str, width: int) -> Any:
        ir = importlib.import_module("litert_converter.mlir.ir")
        stablehlo = importlib.import_module("litert_converter.mlir.dialects.stablehlo")
        axes = list(value.type.shape)
        shape = [*axes[: len(axes) - axes_replaced], width]
        return stablehlo.custom_call(
            [ir.RankedTensorType.get(shape, ir.F32Type.get())],
            [value],
            call_target_name=call,
            backend_config=ir.StringAttr.get(path),
        )

    return lower
