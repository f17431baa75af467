"""From a module to a TFLite model with floats only, by litert-torch: one signature a sequence length."""

from __future__ import annotations

import importlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from edgeformer_runtime.bundle.manifest import TensorSpec

from ..base import ExportError, ExportRequest
from ..quiet import Chatter, quiet
from . import flatbuffer
from .boolean_index import register_boolean_index
from .flatbuffer import Model, Subgraph
from .placeholders import EMBEDDING_CALL, LINEAR_CALL, register_lowerings

# the runtime casts what it is fed to what the file says
_DTYPES = {"int64": torch.int32, "int32": torch.int32, "float32": torch.float32}
_UNSUPPORTED = re.compile(
    r"Lowering not found: (?P<torch>\S+)"
    r"|failed to legalize operation '(?P<mlir>[^']+)'"
    r"|custom op '(?P<custom>[^']+)'"
)
_LONGEST_REASON = 300  # characters of a foreign message that are worth showing


def signature_name(length: int | None) -> str:
    """Like "seq128", or "serving_default" for a model whose inputs have no length."""
    return "serving_default" if length is None else f"seq{length}"


def signature_lengths(request: ExportRequest) -> tuple[int | None, ...]:
    """The lengths to make a signature for; one None for a model whose inputs have none."""
    request.check_lengths()
    return request.lengths or (None,)


def input_shape(request: ExportRequest, spec: TensorSpec, length: int | None) -> tuple[int, ...]:
    """The static shape of an input, batch 1; raises ExportError on an unknown dimension or dtype."""
    if spec.dtype not in _DTYPES:
        raise ExportError(
            f"format 'tflite': input {spec.name!r} has dtype {spec.dtype}: expected {' or '.join(_DTYPES)}"
        )
    return request.shape(spec, length)


def convert(module: torch.nn.Module, request: ExportRequest) -> Model:
    """Convert ``module``, which stands for ``request.module``, at every length of ``request``.

    Raises:
        ExportError: an operator has no TFLite form; the message names it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "converted.tflite"
        chatter = Chatter()
        try:
            with quiet(chatter), _environment({"LITERT_TORCH_SHOW_PROGRESS": "0"}):
                _run_converter(module, request, path)
        except Exception as error:
            # the packages underneath raise whatever they like, RuntimeError and MLIR's own among it
            raise ExportError(f"format 'tflite': {_reason(error, chatter.text)}") from error
        model = flatbuffer.load(path)
    _refuse_foreign_operators(model)
    for signature in model.signatureDefs:
        _name_ends(model.subgraphs[signature.subgraphIndex], signature, request)
    return model


def _run_converter(module: torch.nn.Module, request: ExportRequest, path: Path) -> None:
    converter = importlib.import_module("litert_torch")
    register_lowerings()
    register_boolean_index()
    for length in signature_lengths(request):
        # one tensor for each input: the tracer takes the same tensor twice for one input
        examples = tuple(
            torch.ones(input_shape(request, spec, length), dtype=_DTYPES[spec.dtype]) for spec in request.inputs
        )
        converter = converter.signature(signature_name(length), module, examples)
    converter.convert().export(str(path))


def _reason(error: Exception, chatter: str) -> str:
    """One line that says why: the operator when message or log names one, else the message's first line."""
    match = _UNSUPPORTED.search(f"{error}\n{chatter}")
    if match is not None:
        operator = next(name for name in match.groups() if name)
        return (
            f"operator {operator} has no TFLite form in litert-torch: "
            "leave this format out, or replace the operator in the model"
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0][:_LONGEST_REASON] if lines else "no message"
    return f"litert-torch can't convert the model: {type(error).__name__}: {first}"


def _refuse_foreign_operators(model: Model) -> None:
    names = {flatbuffer.operator_name(model, operator) for _, operator in flatbuffer.operators(model)}
    known = set(flatbuffer.builtin_operators()) | {LINEAR_CALL, EMBEDDING_CALL}
    # StableHLO operators that the converter couldn't lower have numbers in the schema, and hardly any kernel
    foreign = sorted(name for name in names if name not in known or name.startswith("STABLEHLO_"))
    if foreign:
        raise ExportError(
            f"format 'tflite': the runtime has no kernel for {', '.join(foreign)}: "
            "leave this format out, or replace the operator in the model"
        )


def _name_ends(subgraph: Subgraph, signature: Any, request: ExportRequest) -> None:
    """Give a signature's inputs and outputs, and their tensors, the names of the request."""
    ends = (
        (signature.inputs, "args_", [spec.name for spec in request.inputs]),
        (signature.outputs, "output_", [spec.name for spec in request.outputs]),
    )
    for tensors, prefix, names in ends:
        found = sorted(tensors, key=lambda end: _position(end, prefix))
        positions = [_position(end, prefix) for end in found]
        if positions != list(range(len(names))):
            raise ExportError(
                f"format 'tflite': expected {prefix}0…{len(names) - 1} for {', '.join(names)}, "
                f"the converter made positions {positions}: does the model use all its inputs?"
            )
        for end, wanted in zip(found, names, strict=True):
            end.name = subgraph.tensors[end.tensorIndex].name = wanted


def _position(end: Any, prefix: str) -> int:
    name = end.name
    return int(flatbuffer.text(name).removeprefix(prefix))


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the time of a block."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
