"""A size that should vary and is fixed in the traced graph is refused, with the size."""

import onnx_ir as ir
import pytest
import torch

from edgeformer_converters.base import ExportError, ExportRequest, get_converter
from edgeformer_converters.onnx.trace import _check_dynamic
from edgeformer_runtime.bundle.manifest import TensorSpec

ids = TensorSpec("input_ids", "int64", ("batch", "sequence"))


def traced(sequence):
    text = f"""<ir_version: 10, opset_import: ["" : 21]>
    graph (int64[batch, {sequence}] input_ids) => (int64[batch, {sequence}] y) {{ y = Identity(input_ids) }}"""
    return ir.from_onnx_text(text)


def request():
    example = torch.zeros(2, 16, dtype=torch.int64)
    plan = get_converter("onnx").plans(())[0]
    return ExportRequest(torch.nn.Identity(), (ids,), (ids,), (example,), (), plan)


def test_dynamic_sizes_pass():
    _check_dynamic(request(), traced("sequence"))


def test_a_fixed_size_is_named():
    with pytest.raises(ExportError, match="fixes the sequence of 'input_ids' to the example's, 16"):
        _check_dynamic(request(), traced(16))
