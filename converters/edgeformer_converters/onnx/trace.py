"""From a torch module to an ``onnx_ir`` graph in which every quantized layer is still one node.

``torch.onnx.ops.symbolic`` puts a node of our own domain into the graph; the lowerings replace it. The graph
never holds a quantized weight: a node names its layer, and the lowering takes the integers from that layer.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import onnx_ir as ir
import torch
from torch.onnx import ops as onnx_ops

from ..base import ExportError, ExportRequest, quantized_layers
from ..chunked_attention import ChunkedAttention, local_layers
from ..ops import QuantizedEmbedding, QuantizedLinear
from ..ops.local_attention import LocalAttention

DOMAIN = "edgeformer"
LINEAR = "QuantizedLinear"
EMBEDDING = "QuantizedEmbedding"
ATTENTION = "LocalAttention"
PAD, CUT = "PadTo", "CutLike"


def trace(request: ExportRequest, opset: int, chunked_attention: bool = False) -> ir.Model:
    """Trace ``request.module`` with every dimension that its inputs name left dynamic.

    Args:
        request: what to trace.
        opset: of the nodes.
        chunked_attention: local attention becomes standard operators, and not a node of its own.

    Returns:
        A model whose nodes are standard ones of ``opset`` and, for each call of a quantized layer, one
        ``edgeformer::QuantizedLinear`` or ``edgeformer::QuantizedEmbedding`` with the attribute ``layer``; for each
        call of local attention one ``edgeformer::LocalAttention`` of query, key, value and keep (float32 0/1).

    Raises:
        ExportError: the module can't be traced, or an operator has no ONNX form.
    """
    with _single_nodes(request, chunked_attention), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on axis names and deprecations of its own
        try:
            program = torch.onnx.export(
                request.module,
                _examples(request),
                dynamo=True,
                opset_version=opset,
                verbose=False,
                input_names=[spec.name for spec in request.inputs],
                output_names=[spec.name for spec in request.outputs],
                dynamic_shapes=_dynamic_shapes(request),
            )
        except Exception as error:  # the exporter lets errors of torch.export, sympy and its own through
            raise ExportError(_explain(error, request.plan.format, opset)) from error
    if program is None:
        raise ExportError(f"format {request.plan.format!r}: torch.onnx.export returned no program")
    _check_dynamic(request, program.model)
    return program.model


def _check_dynamic(request: ExportRequest, model: ir.Model) -> None:
    """Refuse a graph in which a family's own code fixed, in silence, a size that should vary."""
    for spec, value in zip(request.inputs, model.graph.inputs, strict=True):
        for size, found in zip(spec.shape, value.shape or (), strict=True):
            if isinstance(size, str) and isinstance(found, int):
                raise ExportError(
                    f"format {request.plan.format!r}: the model's own code fixes the {size} of {spec.name!r} to the "
                    f"example's, {found}: leave this format out; one with fixed lengths may do"
                )


@contextmanager
def _single_nodes(request: ExportRequest, chunked_attention: bool) -> Iterator[None]:
    """Quantized layers and local attention trace to one node each while this is active."""
    forwards: dict[torch.nn.Module, Callable[..., torch.Tensor]] = {
        layer: partial(_node, layer, name) for name, layer in quantized_layers(request.module).items()
    }
    for name, layer in local_layers(request.module).items():
        if not chunked_attention:
            forwards[layer] = partial(_attention_node, layer, name)
        elif not request.lengths:
            raise ExportError(f"format {request.plan.format!r}: layer {name!r} needs the longest length, got none")
        else:
            forwards[layer] = partial(_chunked, ChunkedAttention(layer, request.lengths[-1:], fixed=True))
    try:
        for traced, forward in forwards.items():
            # an instance's attribute goes before the class's method; the class stays as it is
            traced.__dict__["forward"] = forward
        yield
    finally:
        for traced in forwards:
            traced.__dict__.pop("forward", None)


def _node(layer: QuantizedLinear | QuantizedEmbedding, name: str, x: torch.Tensor) -> torch.Tensor:
    """One symbolic node in place of ``layer(x)``."""
    if isinstance(layer, QuantizedLinear):
        op, shape = LINEAR, [*x.shape[:-1], layer.out_features]
    else:
        op, shape = EMBEDDING, [*x.shape, layer.embedding_dim]
    return onnx_ops.symbolic(f"{DOMAIN}::{op}", [x], attrs={"layer": name}, dtype=torch.float32, shape=shape, version=1)


def _attention_node(
    layer: LocalAttention,
    name: str,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    keep: torch.Tensor | None = None,
) -> torch.Tensor:
    """One symbolic node in place of ``layer(query, key, value, keep)``."""
    batch, _, length, _ = query.shape
    kept = torch.ones(batch, length) if keep is None else keep.to(torch.float32)
    return onnx_ops.symbolic(
        f"{DOMAIN}::{ATTENTION}",
        [query, key, value, kept],
        attrs={"layer": name},
        dtype=torch.float32,
        shape=query.shape,
        version=1,
    )


def _chunked(
    attention: ChunkedAttention,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    keep: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attention at the longest length, around which inputs are padded and the output is cut.

    Blocks of a dynamic length can't be traced: torch.export would fix the length.
    """
    batch, _, length, _ = query.shape
    kept = torch.ones(batch, length) if keep is None else keep.to(torch.float32)
    padded = [_padded(x, attention.longest) for x in (query, key, value, kept[:, None, :, None])]
    output = attention(*padded[:3], padded[3][:, 0, :, 0])
    return onnx_ops.symbolic(f"{DOMAIN}::{CUT}", [output, query], dtype=torch.float32, shape=query.shape, version=1)


def _padded(x: torch.Tensor, longest: int) -> torch.Tensor:
    """[B, ·, S, ·] with zeros up to ``longest``."""
    shape = [*x.shape[:2], longest, x.shape[3]]
    return onnx_ops.symbolic(
        f"{DOMAIN}::{PAD}", [x], attrs={"longest": longest}, dtype=torch.float32, shape=shape, version=1
    )


def _examples(request: ExportRequest) -> tuple[torch.Tensor, ...]:
    """The example inputs, no longer than the longest length that is asked for."""
    if not request.lengths:
        return request.example_inputs
    longest, varies = request.lengths[-1], request.length_dimension
    return tuple(
        example[tuple(slice(longest) if size == varies else slice(None) for size in spec.shape)]
        for spec, example in zip(request.inputs, request.example_inputs, strict=True)
    )


def _dynamic_shapes(request: ExportRequest) -> Any:
    """One ``Dim`` a named dimension, so that equal names are known to be equal sizes."""
    dims: dict[str, Any] = {}

    def dim(name: str) -> Any:
        if name not in dims:
            longest = request.lengths[-1] if name != "batch" and request.lengths else None
            dims[name] = torch.export.Dim(name, min=1, max=longest)
        return dims[name]

    shapes = tuple(
        {axis: dim(size) for axis, size in enumerate(spec.shape) if isinstance(size, str)} for spec in request.inputs
    )
    parameters = inspect.signature(request.module.forward).parameters.values()
    takes_any_number = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    return (shapes,) if takes_any_number else shapes


def _explain(error: BaseException, format: str, opset: int) -> str:
    """One sentence out of an exporter's chain of errors: the operator if one is named, else the first
    cause.
    """
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    root = chain[-1]
    for link in reversed(chain):
        named = re.search(r"op='([^']+)'", str(link)) or re.search(r"target=torch\.ops\.([\w.]+)", str(link))
        if named:
            return (
                f"format {format!r}: operator {named[1]} has no ONNX form at opset {opset}: "
                "express it with other operators in the model, or leave this format out"
            )
    first_line = next((line.strip() for line in str(root).splitlines() if line.strip()), "no message")
    return (
        f"format {format!r}: the model can't be traced with dynamic shapes "
        f"({type(root).__name__}: {first_line}): "
        "its forward must not depend on the values or sizes of its inputs"
    )
