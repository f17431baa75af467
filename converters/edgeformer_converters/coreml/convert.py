"""From an ExportRequest to a converted coremltools model: tracing, shapes and names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch

from edgeformer_runtime.bundle.manifest import TensorSpec

from ..base import ExportError, ExportRequest
from ..chunked_attention import with_chunked_attention
from ..quiet import quiet
from .lower_weights import register_translation, with_constant_weights
from .settings import CoreMLSettings

# Core ML has no 64-bit integers
_DTYPES = {"int64": np.int32, "int32": np.int32, "float32": np.float32}


def convert(request: ExportRequest, settings: CoreMLSettings) -> Any:
    """The ``coremltools.models.MLModel`` of ``request``; raises ExportError naming operator and format."""
    traced = _trace(request, settings)
    with quiet():
        import coremltools as ct

        register_translation()
        inputs = [
            ct.TensorType(name=spec.name, shape=shape, dtype=_DTYPES[spec.dtype])
            for spec, shape in zip(request.inputs, _input_shapes(request, settings), strict=True)
        ]
        outputs = [ct.TensorType(name=spec.name, dtype=_DTYPES[spec.dtype]) for spec in request.outputs]
        try:
            return ct.convert(
                traced,
                inputs=inputs,
                outputs=outputs,
                convert_to="mlprogram",
                minimum_deployment_target=getattr(ct.target, settings.deployment_target),
                compute_precision=ct.precision.FLOAT16,
                skip_model_load=True,
            )
        except Exception as error:  # coremltools raises whatever a translation happened to hit
            raise ExportError(_explain(error, settings)) from error


def _trace(request: ExportRequest, settings: CoreMLSettings) -> torch.jit.ScriptModule:
    """Trace with batch 1 at the longest length; integers arrive as int32, as they will in Core ML."""
    length = request.lengths[-1] if request.lengths else None
    examples = tuple(
        _resized(example, request.shape(spec, length)).to(_torch_dtype(spec))
        for spec, example in zip(request.inputs, request.example_inputs, strict=True)
    )
    one_length = len(request.lengths) <= 1 and not settings.is_range
    module = with_chunked_attention(with_constant_weights(request.module), request.lengths, one_length).eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's: values that Python reads are constants, as intended
        return cast(torch.jit.ScriptModule, _jit_trace(module, examples, check_trace=False))


_jit_trace: Callable[..., Any] = torch.jit.trace  # has no type hints


def _torch_dtype(spec: TensorSpec) -> torch.dtype:
    return torch.float32 if spec.dtype == "float32" else torch.int32


def _resized(example: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """``example`` cut, or repeated and cut, to ``shape``: only its kind of values matters to a trace."""
    for axis, size in enumerate(shape):
        example = example.index_select(axis, torch.arange(size) % example.shape[axis])
    return example


def _input_shapes(request: ExportRequest, settings: CoreMLSettings) -> list[Any]:
    """One coremltools shape an input: fixed, enumerated, or with a range along the dimension that varies."""
    import coremltools as ct

    lengths, varies = request.lengths, request.length_dimension
    longest = lengths[-1] if lengths else None
    in_range = settings.is_range and varies is not None
    ranged = ct.RangeDim(lower_bound=1, upper_bound=longest, default=longest) if in_range else None
    shapes: list[Any] = []
    for spec in request.inputs:
        fixed = request.shape(spec, longest)
        if varies not in spec.shape:
            shapes.append(fixed)
        elif ranged is not None:
            dimensions = zip(spec.shape, fixed, strict=True)
            shapes.append(tuple(ranged if dim == varies else size for dim, size in dimensions))
        elif len(lengths) == 1:
            shapes.append(fixed)
        else:
            every = [request.shape(spec, length) for length in lengths]
            shapes.append(ct.EnumeratedShapes(shapes=every, default=fixed))
    return shapes


def _explain(error: Exception, settings: CoreMLSettings) -> str:
    """One line that names the operator, or else what coremltools said first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    marker = "convert function for op '"
    if marker in first:
        operator = first.split(marker, 1)[1].split("'", 1)[0]
        return (
            f"coreml ({settings.deployment_target}): operator {operator!r} can't be expressed: rewrite that "
            f"part of the model with other operators, or leave this format out"
        )
    return f"coreml ({settings.deployment_target}): the conversion failed: {first[:400]}"
