"""LocalAttention in ONNX: the function against torch, in a graph of its own and through the exporter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgeformer.quantization import QUANTIZERS
from edgeformer_converters.base import ExportRequest
from edgeformer_converters.onnx import functions
from edgeformer_converters.onnx.export import OnnxConverter
from edgeformer_converters.onnx.local_attention import full_attention_below
from edgeformer_converters.ops import QuantizedLinear, WeightFormat
from edgeformer_converters.ops.local_attention import LocalAttention, LocalPattern

from .local_attention_cases import PATTERNS, SHORT_IS_FULL, Bare, expected, inputs_for, layer_of, request_for

EVERYTHING = functions.Features(True, True, True, True, True)


def features_of(layer: LocalAttention) -> functions.Features:
    pattern = layer.pattern
    return functions.Features(
        dilation=pattern.dilation > 1,
        global_tokens=bool(pattern.global_tokens),
        bias=layer.bias is not None,
        shared_keys=layer.heads != layer.kv_heads,
    )


def session_of(layer: LocalAttention, features: functions.Features, full_below: int) -> onnxruntime.InferenceSession:
    """One node and its function, opset 18 and IR 8: what ONNX Runtime 1.17 reads."""
    sizes = {
        "query": ["b", layer.heads, "s", layer.head_dim],
        "key": ["b", layer.kv_heads, "s", layer.head_dim],
        "value": ["b", layer.kv_heads, "s", layer.head_dim],
        "keep": ["b", "s"],
    }
    numbers = {**layer.attributes(), "full_below": full_below}
    tokens = helper.make_attribute("global_tokens", numbers.pop("global_tokens"), attr_type=onnx.AttributeProto.INTS)
    names = [*sizes, *(["bias"] if features.bias else [])]
    node = helper.make_node(functions.NAME, names, ["output"], domain=functions.DOMAIN, **numbers)
    node.attribute.append(tokens)
    zeros = torch.zeros(layer.heads, layer.pattern.window)
    bias = numpy_helper.from_array((zeros if layer.bias is None else layer.bias).numpy(), "bias")
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes.items()]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, sizes["query"])
    model = helper.make_model(
        helper.make_graph([node], "one", inputs, [output], [bias] if features.bias else []),
        functions=[functions.local_attention(features, 18)],
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(functions.DOMAIN, 1)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@st.composite
def patterns(draw: st.DrawFn) -> LocalPattern:
    causal = draw(st.booleans())
    left = draw(st.integers(0, 9))
    right = 0 if causal else draw(st.integers(0, 9))
    tokens = tuple(sorted(draw(st.sets(st.integers(0, 60), max_size=3))))
    return LocalPattern(left or int(right == 0), right, draw(st.integers(1, 3)), tokens, causal)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    pattern=patterns(),
    kv_heads=st.sampled_from([4, 2, 1]),
    bias=st.booleans(),
    length=st.integers(1, 90),
    batch=st.integers(1, 3),
    general=st.booleans(),
    dense=st.booleans(),
)
def test_function_equals_torch(
    pattern: LocalPattern, kv_heads: int, bias: bool, length: int, batch: int, general: bool, dense: bool
) -> None:
    layer = layer_of(pattern, kv_heads=kv_heads, bias=bias)
    features = EVERYTHING if general else features_of(layer)
    generator = torch.Generator().manual_seed(length)
    query, key, value = (
        torch.randn(batch, heads, length, 8, generator=generator) for heads in (layer.heads, kv_heads, kv_heads)
    )
    keep = (torch.rand(batch, length, generator=generator) < 0.8).float()
    keep[0] = 0 if batch > 1 else keep[0]
    feeds = {"query": query.numpy(), "key": key.numpy(), "value": value.numpy(), "keep": keep.numpy()}
    got = session_of(layer, features, 1000 if dense else 0).run(None, feeds)[0]
    np.testing.assert_allclose(got, layer(query, key, value, keep).numpy(), atol=1e-5)
    if batch > 1:
        assert not got[0].any()  # nothing to see: exactly 0


def test_scores_far_below_the_largest_stay_exact() -> None:
    """Rows whose scores differ by hundreds, and rows where unseen keys have by far the largest."""
    layer = layer_of(PATTERNS["window"])
    query, key, value = (torch.randn(1, 4, 70, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3))
    key[:, :, 30] *= 300
    keep = torch.ones(1, 70)
    keep[:, 30] = 0
    feeds = {"query": (query * 30).numpy(), "key": key.numpy(), "value": value.numpy(), "keep": keep.numpy()}
    got = session_of(layer, features_of(layer), 0).run(None, feeds)[0]
    np.testing.assert_allclose(got, layer(query * 30, key, value, keep).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "opset"),
    [
        pytest.param(name, opset, marks=() if opset == (18, 21)[row % 2] else pytest.mark.exhaustive)
        for row, name in enumerate(PATTERNS)
        for opset in (18, 21)
    ],
)
def test_export_equals_torch(name: str, opset: int, tmp_path: Path) -> None:
    request = request_for(layer_of(PATTERNS[name], kv_heads=2, bias=True), "onnx", (64,), opset=opset)
    variant = OnnxConverter().export(request, tmp_path)
    assert variant.facts["nodes"]["ai.edgeformer::LocalAttention"] == 1
    session = onnxruntime.InferenceSession(str(tmp_path / variant.path), providers=["CPUExecutionProvider"])
    for length in (1, 23, 64):
        x, keep = inputs_for(request.module.attention, 3, length, length)
        got = session.run(None, {"x": x.numpy(), "keep": keep.numpy()})[0]
        np.testing.assert_allclose(got, expected(request, x, keep), atol=1e-5)


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_short_inputs_get_full_attention(kv_heads: int, tmp_path: Path) -> None:
    request = request_for(layer_of(SHORT_IS_FULL, kv_heads=kv_heads), "onnx", (64,), opset=18)
    variant = OnnxConverter().export(request, tmp_path)
    assert variant.settings["full_attention"] == {"below_positions": [40], "decided_by": "input"}
    assert variant.settings["local_attention"]["kernel_version"] == 1
    assert variant.facts["nodes"]["ai.edgeformer::AttentionByLength"] == 1
    session = onnxruntime.InferenceSession(str(tmp_path / variant.path), providers=["CPUExecutionProvider"])
    for length in (1, 39, 40, 64):
        x, keep = inputs_for(request.module.attention, 3, length, length)
        got = session.run(None, {"x": x.numpy(), "keep": keep.numpy()})[0]
        np.testing.assert_allclose(got, expected(request, x, keep), atol=1e-5)
        assert not got[-1].any()


@pytest.mark.parametrize(
    ("pattern", "below"),
    [
        (LocalPattern(70, 62), 64),  # every window holds an input of 63 tokens
        (LocalPattern(70, 61), 0),
        (LocalPattern(70, 0, causal=True), 0),
        (LocalPattern(70, 70, dilation=2), 0),
    ],
)
def test_windows_that_hold_the_whole_input_are_full_attention(
    pattern: LocalPattern, below: int, tmp_path: Path
) -> None:
    layer = layer_of(pattern)
    assert full_attention_below(layer) == below
    request = request_for(layer, "onnx", (200,), opset=21)
    variant = OnnxConverter().export(request, tmp_path)
    assert "full_attention" not in variant.settings  # a way, and no other result
    session = onnxruntime.InferenceSession(str(tmp_path / variant.path), providers=["CPUExecutionProvider"])
    for length in (63, 64, 150):
        x, keep = inputs_for(layer, 2, length, length)
        got = session.run(None, {"x": x.numpy(), "keep": keep.numpy()})[0]
        np.testing.assert_allclose(got, expected(request, x, keep), atol=1e-5)


class Mixed(torch.nn.Module):
    """A quantized layer before attention with each pattern in turn: one function serves them all."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        weight = QUANTIZERS["rtn"](rng.normal(size=(96, 96), scale=0.1).astype(np.float32), WeightFormat.parse("int8"))
        self.linear = QuantizedLinear(weight, None)
        self.parts = torch.nn.ModuleList(Bare(layer_of(pattern)) for pattern in PATTERNS.values())

    def forward(self, x: torch.Tensor, keep: torch.Tensor) -> tuple[torch.Tensor]:
        projected = self.linear(x)
        return (sum(part(projected, keep)[0] for part in self.parts),)


def test_mixed_patterns_and_quantized_layers_share_one_function(tmp_path: Path) -> None:
    plain = request_for(layer_of(PATTERNS["window"]), "onnx", (64,), opset=21)
    request = ExportRequest(
        Mixed().eval(), plain.inputs, plain.outputs, plain.example_inputs, plain.sequence_lengths, plain.plan
    )
    variant = OnnxConverter().export(request, tmp_path)
    model = onnx.load(tmp_path / variant.path)
    assert [function.name for function in model.functions] == ["LocalAttention"]
    assert variant.facts["nodes"]["ai.edgeformer::LocalAttention"] == 3
    session = onnxruntime.InferenceSession(str(tmp_path / variant.path), providers=["CPUExecutionProvider"])
    x, keep = inputs_for(layer_of(PATTERNS["window"]), 1, 50, 3)
    got = session.run(None, {"x": x.numpy(), "keep": keep.numpy()})[0]
    want = expected(request, x, keep)
    cosine = float((got * want).sum() / np.linalg.norm(got) / np.linalg.norm(want))
    assert cosine > 0.999  # the linear layer's activations are 8-bit integers


@pytest.mark.slow
def test_long_input(tmp_path: Path) -> None:
    layer = layer_of(LocalPattern.radius(128, global_tokens=(0,)), full_below=None)
    request = request_for(layer, "onnx", (4096,), opset=21)
    path = tmp_path / OnnxConverter().export(request, tmp_path).path
    x, keep = inputs_for(layer, 1, 4096, 5)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {"x": x.numpy(), "keep": keep.numpy()})[0]
    np.testing.assert_allclose(got, expected(request, x, keep), atol=1e-5)
