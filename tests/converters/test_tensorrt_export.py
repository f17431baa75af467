"""The TensorRT profile: explicit quantization, float16, the parser's operator lists. Numbers are computed on
the CPU.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import transformers
from numpy.typing import NDArray

from edgeformer.quantization import QUANTIZERS
from edgeformer.tasks import get_task
from edgeformer.tasks.module import TaskModule, TaskOptions, input_specs
from edgeformer_converters.base import ExportError, ExportRequest, VariantPlan, quantized_layers
from edgeformer_converters.onnx import tensorrt_operators, tensorrt_parser
from edgeformer_converters.onnx.tensorrt import TensorRTConverter
from edgeformer_converters.ops import QuantizedEmbedding, QuantizedLinear, WeightFormat
from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec
from edgeformer_runtime.device.target import EngineSpec, Target

INPUTS = ("input_ids", "attention_mask")
RELEASES = {"8.2": 13, "8.5": 17, "10.3": 21}


def quantize(model: torch.nn.Module, linear: str, embedding: str) -> None:
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, torch.nn.Linear | torch.nn.Embedding):
            continue
        is_linear = isinstance(layer, torch.nn.Linear)
        # the feed-forward layers get the format under test, the others int8
        text = (linear if "attention" not in name else "int8") if is_linear else embedding
        weight = QUANTIZERS["rtn"](layer.weight.detach().numpy(), WeightFormat.parse(text))
        parent, _, leaf = name.rpartition(".")
        quantized = QuantizedLinear(weight, layer.bias) if is_linear else QuantizedEmbedding(weight)
        setattr(model.get_submodule(parent), leaf, quantized)


def feeds() -> dict[str, NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    mask = np.ones((3, 20), np.int64)
    mask[1, 12:] = 0
    return {"input_ids": np.where(mask == 1, rng.integers(2, 100, mask.shape), 1), "attention_mask": mask}


def request_for(release: str, linear: str = "int8", embedding: str = "int8", family: str = "Bert") -> ExportRequest:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=100,
        hidden_size=64,
        num_attention_heads=4,
        intermediate_size=128,
        num_hidden_layers=1,
        attn_implementation="eager",
    )
    model = getattr(transformers, f"{family}Model")(config).eval()
    quantize(model, linear, embedding)
    module = TaskModule(model, get_task(TaskSpec("feature-extraction")), INPUTS, TaskOptions()).eval()
    return ExportRequest(
        module=module,
        inputs=input_specs(INPUTS, 1),
        outputs=get_task(TaskSpec("feature-extraction")).output_specs(64),
        example_inputs=(torch.randint(2, 90, (2, 24)), torch.ones(2, 24, dtype=torch.int64)),
        sequence_lengths=(32, 64, 128),
        plan=VariantPlan("tensorrt", "tensorrt", (), {"tensorrt": release, "opset": RELEASES[release]}),
    )


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # as the runtime's engine: no product saturates
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path: Path) -> NDArray[np.float32]:
    return session(path).run(None, feeds())[0]


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    products = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    return float(products.min())


@pytest.mark.parametrize(
    ("release", "linear", "family"),
    [
        ("8.2", "int4", "Bert"),
        ("8.5", "int8-tensor", "Roberta"),
        ("10.3", "int4", "MPNet"),
        ("10.3", "int4-block32", "Bert"),
    ],
)
def test_export_agrees_with_torch_and_carries_the_integers(
    release: str, linear: str, family: str, tmp_path: Path
) -> None:
    request = request_for(release, linear, "int4", family)
    variant = TensorRTConverter().export(request, tmp_path)
    path = tmp_path / variant.path
    with torch.no_grad():
        want = request.module(*(torch.from_numpy(feeds()[name]) for name in INPUTS))[0].numpy()
    assert cosine(run(path), want) >= 0.995
    chosen = {name: layer.integer_weight() for name, layer in quantized_layers(request.module).items()}
    found = TensorRTConverter().read_weights(path, chosen)
    wrong = [name for name, weight in chosen.items() if name not in found or not weight.same_as(found[name])]
    assert wrong == variant.facts["unused_layers"] == [name for name in chosen if "pooler" in name]

    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", RELEASES[release])]
    assert variant.settings["precision"] == "fp16"
    for name in INPUTS:
        assert variant.settings["profiles"][name] == {"min": [1, 1], "opt": [1, 64], "max": [8, 128]}
    assert all(spec.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for spec in model.graph.output)
    weight_only = [name for name, weight in chosen.items() if weight.format.granularity == "block"]
    assert variant.facts["weight_only"] == weight_only


@pytest.mark.parametrize("release", RELEASES)
def test_products_have_both_inputs_quantized(release: str, tmp_path: Path) -> None:
    request = request_for(release)
    TensorRTConverter().export(request, tmp_path)
    graph = onnx.load(tmp_path / "model.onnx").graph
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    quantized = [
        node
        for node in graph.node
        if node.op_type == "MatMul" and any(name.endswith((".x", ".weight")) for name in node.input)
    ]
    linears = [layer for layer in quantized_layers(request.module).values() if isinstance(layer, QuantizedLinear)]
    # the pooler that BertModel has isn't read by this task, so the graph lacks it
    assert len(quantized) == len(linears) - 1
    for node in quantized:
        assert [producers[name].op_type for name in node.input] == ["DequantizeLinear", "DequantizeLinear"]
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert not constants[node.input[2]].any()
            assert constants[node.input[2]].dtype == np.int8
    # row scales bring activations between -1 and 1: one scale for all of them, the same in float16 and float32
    scales = [constants[node.input[1]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert scales
    assert all(scale.size == 1 and scale.item() == float(np.float16(1 / 127)) for scale in scales)


@pytest.mark.parametrize("release", RELEASES)
def test_tokens_of_zeros_give_the_bias(release: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bias = rng.normal(size=8).astype(np.float16).astype(np.float32)
    weight = QUANTIZERS["rtn"](rng.normal(size=(8, 32)).astype(np.float32), WeightFormat.parse("int8"))
    request = ExportRequest(
        module=torch.nn.Sequential(QuantizedLinear(weight, torch.from_numpy(bias))).eval(),
        inputs=(TensorSpec("x", "float32", ("batch", "sequence", 32)),),
        outputs=(TensorSpec("y", "float32", ("batch", "sequence", 8)),),
        example_inputs=(torch.zeros(2, 4, 32),),
        sequence_lengths=(16,),
        plan=VariantPlan("tensorrt", "tensorrt", (), {"tensorrt": release, "opset": RELEASES[release]}),
    )
    TensorRTConverter().export(request, tmp_path)
    graph = onnx.load(tmp_path / "model.onnx").graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (largest,) = (node for node in graph.node if node.op_type == "Max")
    # no division by 0, whatever an engine makes of its result; 2^-14 is float16's smallest normal number
    assert [constants[name].item() for name in largest.input if name in constants] == [2.0**-14]
    x = rng.normal(size=(2, 5, 32)).astype(np.float32)
    x[1, 3] = 0
    (got,) = session(tmp_path / "model.onnx").run(None, {"x": x})
    assert np.array_equal(got[1, 3], bias)
    want = x @ weight.dequantize().T + bias
    assert np.abs(got - want).max() < 0.02 * np.abs(want).max()
    (got,) = session(tmp_path / "model.onnx").run(None, {"x": np.zeros_like(x)})
    assert np.array_equal(got, np.broadcast_to(bias, got.shape))


@pytest.mark.parametrize(
    ("release", "linear", "embedding", "message"),
    [
        ("10.3", "int8-asym", "int8", r"intermediate\.dense', int8-asym.*no zero points"),
        ("8.5", "int4-block32", "int8", r"\(8\.5\).*intermediate\.dense', int4-block32.*TensorRT 10"),
        ("10.3", "int8-block32", "int8", r"int8-block32.*4-bit linear layers only"),
        ("10.3", "int8", "int4-block32", r"word_embeddings', int4-block32.*4-bit linear layers only"),
    ],
)
def test_formats_without_a_form_are_refused(release: str, linear: str, embedding: str, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        TensorRTConverter().check(request_for(release, linear, embedding))


def test_an_operator_that_the_parser_lacks_is_named() -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2]))
    node = ir.node("Det", [x], name="odd")
    model = ir.Model(ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 17}), ir_version=8)
    with pytest.raises(ExportError, match=r"node 'odd' is ai\.onnx::Det.*TensorRT 8\.5"):
        tensorrt_operators.check_operators(model, "8.5")


def test_a_type_that_the_parser_lacks_is_named() -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([2]))
    node = ir.node("Erf", [x], name="odd")
    model = ir.Model(ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 17}), ir_version=8)
    with pytest.raises(ExportError, match=r"odd.*on INT64: TensorRT 8\.5 takes FP16, FP32"):
        tensorrt_operators.check_operators(model, "8.5")


def test_table_version() -> None:
    assert tensorrt_operators.table_version("8.6.1") == "8.5"
    assert tensorrt_operators.table_version("10.3") == "10.1"
    with pytest.raises(ExportError, match=r"7\.1.*expected 8\.2"):
        tensorrt_operators.table_version("7.1")


def target(name: str, version: str, opset: int | None) -> Target:
    return Target(name, name, "aarch64", 4, (), 2**30, (EngineSpec("tensorrt", version, opset),))


def test_one_plan_for_each_release_and_opset() -> None:
    converter = TensorRTConverter()
    nano, xavier = target("nano", "8.2.1", 13), target("xavier", "8.5.2", None)
    orin, agx = target("orin", "10.3.0", 21), target("agx", "10.3", 21)
    (plan,) = converter.plans([orin, agx])
    assert (plan.name, plan.targets) == ("tensorrt", ("orin", "agx"))
    plans = converter.plans([nano, xavier, orin])
    assert [plan.name for plan in plans] == ["tensorrt-8.2", "tensorrt-8.5", "tensorrt-10.3"]
    assert [plan.settings["opset"] for plan in plans] == [13, 17, 21]
    assert converter.plans([])[0].settings == {"opset": 21, "tensorrt": "10.3"}
    no_gpu = Target("pi", "pi", "aarch64", 4, (), 2**30, (EngineSpec("onnxruntime", "1.31.1", 25),))
    assert converter.plans([no_gpu]) == ()


def test_a_module_without_a_sequence_needs_no_lengths(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(24, 64), torch.nn.GELU(), torch.nn.Linear(64, 5)).eval()
    quantize(module, "int8", "int8")

    class Tuple(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.inner(x),)

    request = ExportRequest(
        module=Tuple().eval(),
        inputs=(TensorSpec("features", "float32", ("batch", 24)),),
        outputs=(TensorSpec("output", "float32", ("batch", 5)),),
        example_inputs=(torch.randn(2, 24),),
        sequence_lengths=(),
        plan=VariantPlan("tensorrt", "tensorrt", (), {"tensorrt": "10.3", "opset": 21}),
    )
    made = TensorRTConverter().export(request, tmp_path)
    assert made.settings["profiles"] == {"features": {"min": [1, 24], "opt": [1, 24], "max": [8, 24]}}
    x = torch.randn(4, 24)
    got = session(tmp_path / made.path).run(None, {"features": x.numpy()})[0]
    np.testing.assert_allclose(got, request.module(x)[0].detach().numpy(), atol=2e-2)


def test_what_has_no_parser_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_parser, "PACKAGES", ("a_package_that_nobody_has",))
    facts = TensorRTConverter().export(request_for("10.3"), tmp_path).facts["parser"]
    assert facts["said"].startswith("not parsed by TensorRT-RTX: it isn't installed here: pip install 'edgeformer[")


def test_layers_of_an_engine_that_multiply_int8() -> None:
    """Lines as the builder writes them, shortened: an int8 product of two nodes, one of a float weight, no product."""
    line = (
        "Name: {0}, LayerType: {1}, Inputs: [ {{ Name: x, Dimensions: [1,-1,8], Datatype: {2} }}], Constants: [ {{ "
        "Name: w, Datatype: {3} }}, {{ Name: alpha, Datatype: Float }}], Outputs: [ {{ Name: y, Datatype: Int8 }}], "
        "Metadata: [ONNX Layer: {0}.x.node][ONNX Layer: {0}.product.node][ONNX Layer: {0}2.product.node]"
    )
    lines = [
        line.format("query", "gemm", "Int8", "Int8"),
        line.format("value", "gemm", "Int8", "Half"),
        line.format("gelu", "kgen", "Int8", "Int8"),
    ]
    assert tensorrt_parser.int8_products(lines) == ("query", "query2")
