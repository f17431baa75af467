"""Single quantized layers through export and ONNX Runtime, against numpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnxruntime
import pytest
import torch
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeformer_converters.base import ExportRequest, VariantPlan, quantized_layers
from edgeformer_converters.onnx import packing
from edgeformer_converters.onnx.export import OnnxConverter
from edgeformer_converters.onnx.levels import LEVELS
from edgeformer_converters.ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear, WeightFormat
from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.engines.onnx_products import smallest_exact_int8
from edgeformer_runtime.engines.onnx_signed import with_signed_weights

FORMATS = [
    f"int{bits}{asym}{tail}" for bits in (8, 4) for asym in ("", "-asym") for tail in ("", "-tensor", "-block32")
]
# an example is an export: few of them, and no shrinking
FEW = settings(max_examples=2, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
# activation functions, and what a token's row scale never falls below after them
ACTIVATIONS = {
    "none": (None, 2.0**-14),
    "gelu": (torch.nn.functional.gelu, 0.17),
    "relu": (torch.nn.functional.relu, 2.0**-14),
}
Activation = Callable[[torch.Tensor], torch.Tensor]


def random_weight(rng: np.random.Generator, rows: int, columns: int, text: str, reach: float = 1.0) -> IntegerWeight:
    """Integers drawn, not derived from floats, as an error-compensating quantizer leaves them."""
    format = WeightFormat.parse(text)
    low, high = format.integer_range
    scale_rows = 1 if format.granularity == "tensor" else rows
    groups = columns // format.block_size if format.block_size else 1

    def integers(shape: tuple[int, int], low: int, high: int) -> NDArray[np.int8]:
        return rng.integers(low, high + 1, shape).astype(np.int8)

    blocks = format.granularity == "block"
    steps = rng.integers(32, 64, (scale_rows, 1)).astype(np.float32) * np.float32(2.0**-13)
    block_scale = rng.integers(32, 64, (rows, groups)).astype(np.float32) * np.float32(2.0**-13)
    return IntegerWeight(
        format=format,
        integers=integers((rows, columns), int(low * reach), int(high * reach)),
        channel_scale=block_scale.max(1, keepdims=True) if blocks and format.bits == 8 else steps,
        block_multiplier=integers((rows, groups), 1, format.max_multiplier) if blocks and format.bits == 4 else None,
        zero_point=None if format.symmetric else integers((scale_rows, groups), low, high),
        block_scale=block_scale if blocks and format.bits == 8 else None,
    )


class Layers(torch.nn.Module):
    """Every layer on the same input; one output each, and their input where an activation function makes it."""

    def __init__(self, layers: list[torch.nn.Module], activation: Activation | None = None) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)
        self.activation = activation

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.activation is None:
            return tuple(layer(x) for layer in self.layers)
        x = self.activation(x)
        return (*(layer(x) for layer in self.layers), x)


def request_for(module: torch.nn.Module, inputs: torch.Tensor, outputs: int, **chosen: Any) -> ExportRequest:
    """``chosen``: settings of the plan."""
    dtype = str(inputs.dtype).removeprefix("torch.")
    shape = ("batch", "sequence", *inputs.shape[2:])
    return ExportRequest(
        module=module.eval(),
        inputs=(TensorSpec("x", dtype, shape),),
        outputs=tuple(TensorSpec(f"y{index}", "float32", ("batch", "sequence", 1)) for index in range(outputs)),
        example_inputs=(inputs,),
        sequence_lengths=(16,),
        plan=VariantPlan("onnx", "onnx", (), {"opset": 21, **chosen}),
    )


def inlined_operators(path: Path) -> Counter[str]:
    """How often a file uses each operator once its functions are written out."""
    graph = onnx.inliner.inline_local_functions(onnx.load(path)).graph
    return Counter(f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in graph.node)


def run(path: Path, x: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Outputs of the file. With its weights as int8, as the runtime loads it on this CPU, they are the same."""
    models = [path.read_bytes()]
    if smallest_exact_int8(onnxruntime) == -128:
        models.append(with_signed_weights(path) or models[0])
    sessions = [onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]) for model in models]
    found = [session.run(None, {"x": x}) for session in sessions]
    for outputs in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(outputs, found[0], strict=True))
    return list(found[0])


def dynamically_quantized(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """x after ONNX's DynamicQuantizeLinear, dequantized (the operator's definition, in float32 as it is
    defined).
    """
    low, high = np.float32(min(x.min(), 0)), np.float32(max(x.max(), 0))
    scale = (high - low) / np.float32(255)
    zero = np.clip(np.rint(-low / scale), 0, 255)
    integers = np.clip(np.rint(x / scale) + zero, 0, 255)
    return (integers.astype(np.float64) - float(zero)) * float(scale)


def has_row_scales(level: str, after_activation: bool) -> bool:
    """A layer that reads an activation function is a "down" layer; one beside none has row scales at "all" only."""
    return level == "all" or (after_activation and level in ("down", "feed_forward"))


def seen_by(
    weight: IntegerWeight, x: NDArray[np.float32], row_scales: bool, floor: float = 2.0**-14
) -> NDArray[np.float64]:
    """x as a layer's product sees it: quantized, divided by its tokens' largest magnitudes before where the level says
    so, and multiplied after.
    """
    if weight.block_scale is not None:
        return x.astype(np.float64)
    if not row_scales:
        return dynamically_quantized(x)
    scale = np.maximum(np.abs(x).max(-1, keepdims=True), np.float32(floor))
    return dynamically_quantized(x * (np.float32(1) / scale)) * scale.astype(np.float64)


def assert_read_back(path: Path, module: torch.nn.Module) -> None:
    chosen = {name: layer.integer_weight() for name, layer in quantized_layers(module).items()}
    found = OnnxConverter().read_weights(path, chosen)
    assert found.keys() == chosen.keys()
    for name, weight in chosen.items():
        assert weight.same_as(found[name]), name


@FEW
@given(
    seed=st.integers(0, 2**16),
    rows=st.integers(1, 40),
    blocks=st.integers(1, 3),
    reach=st.sampled_from([1.0, 0.6]),
    bias=st.booleans(),
    level=st.sampled_from(LEVELS),
    activation=st.sampled_from(list(ACTIVATIONS)),
)
# each level with and without row scales, and each way to find them, whatever is drawn
@example(seed=1, rows=40, blocks=1, reach=1.0, bias=True, level="feed_forward", activation="none")
@example(seed=2, rows=32, blocks=1, reach=1.0, bias=False, level="all", activation="relu")
@example(seed=3, rows=8, blocks=1, reach=1.0, bias=True, level="down", activation="gelu")
@example(seed=4, rows=40, blocks=1, reach=1.0, bias=False, level="down", activation="gelu")
def test_linear_equals_quantized_arithmetic(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    rows: int,
    blocks: int,
    reach: float,
    bias: bool,
    level: str,
    activation: str,
) -> None:
    directory = tmp_path_factory.mktemp("linear")
    rng = np.random.default_rng(seed)
    columns = 32 * blocks
    offsets = torch.from_numpy(rng.normal(size=rows).astype(np.float32)) if bias else None
    weights = [random_weight(rng, rows, columns, text, reach) for text in FORMATS]
    function, floor = ACTIVATIONS[activation]
    module = Layers([QuantizedLinear(weight, offsets) for weight in weights], function)
    x = rng.normal(size=(3, 5, columns)).astype(np.float32)
    x[0, 0] *= 0.01  # after Gelu all its values are below 0.17
    count = len(weights) + (function is not None)
    example_input = torch.zeros(2, 4, columns)
    OnnxConverter().export(request_for(module, example_input, count, row_scales=level), directory)
    scaled = has_row_scales(level, function is not None)
    operators = inlined_operators(directory / "model.onnx")
    assert ("Max" in operators) == scaled
    assert ("Abs" in operators) == (scaled and activation == "none")
    assert not any(node.startswith("ai.edgeformer") for node in operators)
    assert_read_back(directory / "model.onnx", module)
    got = run(directory / "model.onnx", x)
    layer_input = got[-1] if function is not None else x
    for weight, output in zip(weights, got, strict=False):
        seen = seen_by(weight, layer_input, scaled, floor)
        want = seen @ weight.dequantize().astype(np.float64).T + (0 if offsets is None else offsets.numpy())
        np.testing.assert_allclose(output, want, rtol=0, atol=1e-5 * np.abs(want).max(), err_msg=str(weight.format))


@pytest.mark.parametrize("level", LEVELS)
def test_tokens_of_zeros_give_the_bias(level: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bias = torch.from_numpy(rng.normal(size=8).astype(np.float32))
    texts = ("int8", "int8-asym", "int4-asym-block32", "int4", "int8-block32")
    module = Layers([QuantizedLinear(random_weight(rng, 8, 32, text), bias) for text in texts])
    OnnxConverter().export(request_for(module, torch.zeros(2, 4, 32), len(texts), row_scales=level), tmp_path)
    x = rng.normal(size=(2, 5, 32)).astype(np.float32)
    x[1, 3] = 0
    x[1, 4] = 1e-30  # far below the smallest row scale
    for text, got in zip(texts, run(tmp_path / "model.onnx", x), strict=True):
        assert np.array_equal(got[1, 3], bias.numpy()), text
        assert np.abs(got[1, 4] - bias.numpy()).max() < 1e-6, text
    for text, got in zip(texts, run(tmp_path / "model.onnx", np.zeros_like(x)), strict=True):
        assert np.array_equal(got, np.broadcast_to(bias.numpy(), got.shape)), text


@FEW
@given(seed=st.integers(0, 2**16), rows=st.integers(2, 40), blocks=st.integers(1, 3))
def test_embedding_is_exact(tmp_path_factory: pytest.TempPathFactory, seed: int, rows: int, blocks: int) -> None:
    directory = tmp_path_factory.mktemp("embedding")
    rng = np.random.default_rng(seed)
    weights = [random_weight(rng, rows, 32 * blocks, text) for text in FORMATS]
    module = Layers([QuantizedEmbedding(weight) for weight in weights])
    request = request_for(module, torch.zeros(2, 4, dtype=torch.int64), len(weights))
    OnnxConverter().export(request, directory)
    assert_read_back(directory / "model.onnx", module)
    indices = rng.integers(0, rows, (3, 5))
    for weight, got in zip(weights, run(directory / "model.onnx", indices), strict=True):
        want = weight.dequantize()[indices]
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=0, err_msg=str(weight.format))


def test_odd_sizes_keep_their_nibbles(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    linear = QuantizedLinear(random_weight(rng, 3, 7, "int4-asym"), None)
    module = Layers([linear])
    OnnxConverter().export(request_for(module, torch.zeros(2, 4, 7), 1), tmp_path)
    assert_read_back(tmp_path / "model.onnx", module)
    x = rng.normal(size=(1, 2, 7)).astype(np.float32)
    seen = seen_by(linear.integer_weight(), x, row_scales=False)
    want = seen @ linear.dequantize().numpy().T.astype(np.float64)
    np.testing.assert_allclose(run(tmp_path / "model.onnx", x)[0], want, atol=1e-5)

    table = QuantizedEmbedding(random_weight(rng, 5, 7, "int4"))
    module = Layers([table])
    OnnxConverter().export(request_for(module, torch.zeros(2, 4, dtype=torch.int64), 1), tmp_path)
    assert_read_back(tmp_path / "model.onnx", module)
    indices = rng.integers(0, 5, (2, 3))
    np.testing.assert_allclose(run(tmp_path / "model.onnx", indices)[0], table.dequantize().numpy()[indices])


def test_a_layer_called_twice_is_stored_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    linear = QuantizedLinear(random_weight(rng, 32, 32, "int4"), None)
    table = QuantizedEmbedding(random_weight(rng, 10, 32, "int8"))

    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.table, self.tied = linear, linear, table, table

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (self.second(self.first(self.table(x))) + self.tied(x + 1),)

    module = Twice()
    OnnxConverter().export(request_for(module, torch.zeros(2, 4, dtype=torch.int64), 1), tmp_path)
    assert_read_back(tmp_path / "model.onnx", module)
    graph = onnx.load(tmp_path / "model.onnx").graph
    names = [tensor.name for tensor in graph.initializer]
    assert sum("integers" in name or "rows" in name for name in names) == 2
    assert [node.input[1] for node in graph.node if node.op_type == "QuantizedLinear4"] == ["first.packed_integers"] * 2
    indices = rng.integers(0, 9, (2, 3))
    want = module(torch.from_numpy(indices))[0].numpy()
    assert np.abs(run(tmp_path / "model.onnx", indices)[0] - want).max() < 0.02 * np.abs(want).max()


def test_layers_with_the_same_input_quantize_it_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    module = Layers([QuantizedLinear(random_weight(rng, 8, 32, text), None) for text in ("int8", "int4")])
    OnnxConverter().export(request_for(module, torch.zeros(2, 4, 32), 2), tmp_path)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(tmp_path / "model.onnx", options, providers=["CPUExecutionProvider"])
    in_session = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert in_session["DynamicQuantizeLinear"] == 1
    assert in_session["MatMulIntegerToFloat"] == 2


def test_eight_bit_blocks_are_said_to_be_computed_in_float(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    module = Layers([QuantizedLinear(random_weight(rng, 8, 64, text), None) for text in ("int8", "int8-block32")])
    variant = OnnxConverter().export(request_for(module, torch.zeros(2, 4, 64), 2), tmp_path)
    assert variant.facts["computed_in_float"] == ["layers.1"]


def test_read_weights_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = random_weight(rng, 8, 32, "int8")
    module = Layers([QuantizedLinear(weight, None)])
    OnnxConverter().export(request_for(module, torch.zeros(2, 4, 32), 1), tmp_path)
    other = random_weight(rng, 8, 32, "int4")
    found = OnnxConverter().read_weights(tmp_path / "model.onnx", {"layers.0": other, "layers.7": weight})
    assert found == {}


@given(
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 4)),
    axis=st.sampled_from([0, 1, 2, -1]),
    seed=st.integers(0, 99),
)
def test_packing_is_reversible(sizes: tuple[int, int, int], axis: int, seed: int) -> None:
    integers = np.random.default_rng(seed).integers(-8, 8, sizes).astype(np.int8)
    packed = packing.pack(integers, axis)
    assert packed.shape[axis] == (sizes[axis] + 1) // 2
    assert np.array_equal(packing.unpack(packed, axis, sizes[axis]), integers)
