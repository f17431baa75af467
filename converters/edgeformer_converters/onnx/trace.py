"""From a torch module to an ``onnx_ir`` graph in which every quantized layer is still one node.

``torch.onnx.ops.symbolic`` puts a node of our own domain into the graph; the lowerings replace it. The graph
never holds a quantized weight: a node names its layer, and the lowering takes the integers from that layer.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import onnx_ir as ir
import torch
from torch.onnx import ops as onnx_ops

from ..base import ExportError, ExportRequest, quantized_layers
from ..ops import QuantizedEmbedding, QuantizedLinear

DOMAIN = "edgeformer"
LINEAR = "QuantizedLinear"
EMBEDDING = "QuantizedEmbedding"


def trace(request: ExportRequest, opset: int) -> ir.Model:
    """Trace ``request.module`` with every dimension that its inputs name left dynamic.

    Returns:
        A model whose nodes are standard ones of ``opset`` and, for each call of a quantized layer, one
        ``edgeformer::QuantizedLinear`` or ``edgeformer::QuantizedEmbedding`` with the attribute ``layer``.

    Raises:
        ExportError: the module can't be traced, or an operator has no ONNX form.
    """
    with _single_nodes(request.module), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on axis names and deprecations of its own
        try:
            program = torch.onnx.export(
                request.module,
                request.example_inputs,
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
    return program.model


@contextmanager
def _single_nodes(module: torch.nn.Module) -> Iterator[None]:
    """Quantized layers of ``module`` trace to one node each while this is active."""
    layers = quantized_layers(module)
    try:
        for name, layer in layers.items():
            # an instance's attribute goes before the class's method; the class stays as it is
            layer.__dict__["forward"] = partial(_node, layer, name)
        yield
    finally:
        for layer in layers.values():
            layer.__dict__.pop("forward", None)


def _node(layer: QuantizedLinear | QuantizedEmbedding, name: str, x: torch.Tensor) -> torch.Tensor:
    """One symbolic node in place of ``layer(x)``."""
    if isinstance(layer, QuantizedLinear):
        op, shape = LINEAR, [*x.shape[:-1], layer.out_features]
    else:
        op, shape = EMBEDDING, [*x.shape, layer.embedding_dim]
    return onnx_ops.symbolic(f"{DOMAIN}::{op}", [x], attrs={"layer": name}, dtype=torch.float32, shape=shape, version=1)


def _dynamic_shapes(request: ExportRequest) -> Any:
    """One ``Dim`` a named dimension, so that equal names are known to be equal sizes."""
    dims: dict[str, Any] = {}

    def dim(name: str) -> Any:
        if name not in dims:
            longest = request.sequence_lengths[-1] if name == "sequence" and request.sequence_lengths else None
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
