"""LocalAttention in the TensorRT profile: standard operators, float16; numbers are computed on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgeformer_converters.base import ExportError
from edgeformer_converters.onnx.tensorrt import TensorRTConverter
from edgeformer_converters.ops.local_attention import LocalPattern

from .local_attention_cases import PATTERNS, SHORT_IS_FULL, expected, inputs_for, layer_of, request_for


def check(pattern: LocalPattern, longest: int, lengths: tuple[int, ...], release: str, opset: int, path: Path) -> None:
    layer = layer_of(pattern, kv_heads=2, bias=not pattern.dense_below)
    layer.ruled_at = longest  # one graph for all lengths: the longest decides
    request = request_for(layer, "tensorrt", (longest,), tensorrt=release, opset=opset)
    file = path / TensorRTConverter().export(request, path).path
    model = onnx.load(file)
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {""}
    assert not {"Scan", "Loop", "If"} & {node.op_type for node in model.graph.node}
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for length in lengths:
        x, keep = inputs_for(layer, 2, length, length)
        got = session.run(None, {"x": x.numpy(), "keep": keep.numpy()})[0]
        # half precision: 11 bits
        np.testing.assert_allclose(got, expected(request, x, keep), atol=5e-3)
        assert not got[-1].any()


@pytest.mark.parametrize(
    ("name", "release", "opset"), [("window", "8.2", 13), ("dilated", "10.3", 21), ("rule", "8.5", 17)]
)
def test_export_agrees_with_torch(name: str, release: str, opset: int, tmp_path: Path) -> None:
    check(PATTERNS.get(name, SHORT_IS_FULL), 64, (1, 30, 64), release, opset, tmp_path)


def test_below_the_rule_everything_is_full_attention(tmp_path: Path) -> None:
    check(SHORT_IS_FULL, 30, (7, 30), "10.3", 21, tmp_path)


def test_an_engine_is_built_for_known_lengths(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="the dimension 'sequence', got none"):
        TensorRTConverter().export(request_for(layer_of(PATTERNS["causal"]), "tensorrt", ()), tmp_path)


@pytest.mark.slow
def test_long_input(tmp_path: Path) -> None:
    check(LocalPattern.radius(128, global_tokens=(0,)), 4096, (4096,), "10.3", 21, tmp_path)
