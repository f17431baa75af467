"""No weight of an exported file can make ONNX Runtime's sums saturate on x86 without VNNI, whatever the activations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper

from edgeformer_converters.onnx.export import OnnxConverter
from edgeformer_converters.onnx.pair_sums import LARGEST_EXACT_INT8, from_uint8, is_exact_as_int8, to_uint8
from edgeformer_converters.ops import QuantizedLinear, WeightFormat
from edgeformer_runtime.engines.onnx_products import smallest_exact_int8
from edgeformer_runtime.engines.onnx_signed import with_signed_weights

from .pair_sums import product_by_int8, product_by_uint8
from .test_onnx_layers import FORMATS, Layers, random_weight, request_for

INTEGER_PRODUCTS = [text for text in FORMATS if text not in ("int8-block32", "int8-asym-block32")]


def bytes_of(seed: int, shape: tuple[int, int], extreme: bool) -> NDArray[np.uint8]:
    """uint8 of all values, or of the two ends alone, where sums are largest."""
    rng = np.random.default_rng(seed)
    values = rng.choice([0, 255], shape) if extreme else rng.integers(0, 256, shape)
    return values.astype(np.uint8)


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 4),
    columns=st.integers(1, 40),
    channels=st.integers(1, 5),
    extreme=st.booleans(),
)
def test_uint8_weights_are_exact_for_any_bytes(
    seed: int, rows: int, columns: int, channels: int, extreme: bool
) -> None:
    x = bytes_of(seed, (rows, columns), extreme)
    stored = bytes_of(seed + 1, (columns, channels), extreme)
    zero = int(np.random.default_rng(seed).integers(0, 256))
    signed = x.astype(np.int64) - zero
    weight = stored.astype(np.int64) - 128
    # MatMulInteger: (x - zero) · (w - 128), from the product of the bytes and sums of rows and columns
    sums = product_by_uint8(x, stored)
    sums -= 128 * x.astype(np.int64).sum(1, keepdims=True) + zero * stored.astype(np.int64).sum(0)
    assert np.array_equal(sums + 128 * zero * columns, signed @ weight)


@given(seed=st.integers(0, 2**32 - 1), columns=st.integers(1, 40), extreme=st.booleans())
def test_int8_weights_up_to_64_are_exact_for_any_activations(seed: int, columns: int, extreme: bool) -> None:
    x = bytes_of(seed, (3, columns), extreme)
    rng = np.random.default_rng(seed)
    ends = [-LARGEST_EXACT_INT8, LARGEST_EXACT_INT8]
    drawn = rng.choice(ends, (columns, 4)) if extreme else rng.integers(ends[0], ends[1] + 1, (columns, 4))
    weight = drawn.astype(np.int8)
    assert np.array_equal(product_by_int8(x, weight), x.astype(np.int64) @ weight.astype(np.int64))


def test_int8_weights_beyond_64_are_not() -> None:
    x, weight = np.full((1, 2), 255, np.uint8), np.full((2, 1), LARGEST_EXACT_INT8 + 1, np.int8)
    assert product_by_int8(x, weight)[0, 0] == 2**15 - 1 < 255 * 2 * (LARGEST_EXACT_INT8 + 1)
    assert product_by_int8(x, -weight)[0, 0] == -(2**15)


def test_the_form_that_was_left_is_wrong_on_usual_data() -> None:
    """int8 weights of a normal distribution, activations as DynamicQuantizeLinear leaves them."""
    rng = np.random.default_rng(0)
    weight = np.clip(np.rint(rng.standard_normal((384, 64)) * 35), -127, 127).astype(np.int8)
    x = np.clip(np.rint(rng.standard_normal((32, 384)) * 32) + 128, 0, 255).astype(np.uint8)
    exact = x.astype(np.int64) @ weight.astype(np.int64)
    assert (product_by_int8(x, weight) != exact).any()
    assert np.array_equal(product_by_uint8(x, to_uint8(weight)) - 128 * x.astype(np.int64).sum(1, keepdims=True), exact)


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=20))
def test_the_stored_form_is_reversible(values: list[int]) -> None:
    integers = np.array(values, np.int8)
    assert np.array_equal(from_uint8(to_uint8(integers)), integers)


@pytest.mark.parametrize("text", FORMATS)
def test_a_format_is_exact_as_int8_if_its_largest_integers_are(text: str) -> None:
    format = WeightFormat.parse(text)
    low, high = format.integer_range
    blocks = format.granularity == "block"
    largest = (high if format.symmetric else high - low) * (format.max_multiplier if blocks else 1)
    if format.bits == 4:
        assert is_exact_as_int8(format) == (largest <= LARGEST_EXACT_INT8)
    else:
        assert not is_exact_as_int8(format)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layers, Path]:
    """A layer of each format whose product is one of integers; the first is called twice."""
    directory = tmp_path_factory.mktemp("pair_sums")
    rng = np.random.default_rng(7)
    layers: list[Any] = [QuantizedLinear(random_weight(rng, 32, 64, text), None) for text in INTEGER_PRODUCTS]
    module = Layers([*layers, layers[0]])
    OnnxConverter().export(request_for(module, torch.zeros(2, 4, 64), len(module.layers), row_scales="none"), directory)
    return module, directory / "model.onnx"


def weights_in_session(model: bytes, directory: Path) -> dict[str, NDArray[Any]]:
    """The weight of each product as a session holds it, by the name of the product's node."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(directory / "optimized.onnx")
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(directory / "optimized.onnx").graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type in ("MatMulIntegerToFloat", "DynamicQuantizeMatMul")]
    assert len(products) == sum(node.op_type.startswith(("MatMul", "DynamicQuantizeM")) for node in graph.node)
    return {node.output[0]: tensors[node.input[1]] for node in products}


def test_no_product_of_a_file_has_int8_weights_beyond_64(exported: tuple[Layers, Path], tmp_path: Path) -> None:
    """Of the weights that ONNX Runtime's session really multiplies by, after folding and fusing."""
    found = weights_in_session(exported[1].read_bytes(), tmp_path)
    assert len(found) == len(INTEGER_PRODUCTS)  # the layer called twice on the same input is one product
    signed = [weight for weight in found.values() if weight.dtype == np.int8]
    assert sum(weight.dtype == np.uint8 for weight in found.values()) == len(INTEGER_PRODUCTS) - len(signed)
    assert len(signed) == sum(is_exact_as_int8(WeightFormat.parse(text)) for text in INTEGER_PRODUCTS) == 4
    assert max(int(np.abs(weight.astype(np.int16)).max()) for weight in signed) <= LARGEST_EXACT_INT8


def test_signed_weights_are_the_same_integers(exported: tuple[Layers, Path], tmp_path: Path) -> None:
    signed = with_signed_weights(exported[1])
    assert signed is not None
    onnx.checker.check_model(onnx.load_from_string(signed), full_check=True)
    before = weights_in_session(exported[1].read_bytes(), tmp_path)
    after = weights_in_session(signed, tmp_path)
    assert before.keys() == after.keys()
    for name, weight in before.items():
        assert after[name].dtype == np.int8
        expected = from_uint8(weight) if weight.dtype == np.uint8 else weight
        assert np.array_equal(after[name], expected), name


def test_both_forms_compute_the_same_where_int8_is_exact(exported: tuple[Layers, Path]) -> None:
    if smallest_exact_int8(onnxruntime) != -128:
        pytest.skip("products of int8 are not exact on this CPU")
    signed = with_signed_weights(exported[1])
    x = np.random.default_rng(1).normal(0.5, 1, (3, 5, 64)).astype(np.float32)
    sessions = [
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        for model in (exported[1].read_bytes(), signed)
    ]
    for a, b in zip(*(session.run(None, {"x": x}) for session in sessions), strict=True):
        assert np.array_equal(a, b)
