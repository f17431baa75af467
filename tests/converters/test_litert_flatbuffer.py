"""Packing, sharing and reading back at the level of the file: no converter, so these are fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer_converters.base import ExportError
from edgeformer_converters.litert import flatbuffer
from edgeformer_converters.litert.broadcast import shrink_broadcast_constants, shrunk
from edgeformer_converters.litert.lower_quantized import pack, place_integers
from edgeformer_converters.litert.placeholders import EMBEDDING_CALL, LINEAR_CALL
from edgeformer_converters.litert.read import decompose_block_scale, read_weights, unpack
from edgeformer_converters.ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear, WeightFormat

pytest.importorskip("ai_edge_litert")
pytest.importorskip("flatbuffers")

FORMATS = ("int8", "int4", "int8-tensor", "int4-tensor", "int4-block32", "int4-block64", "int4-block128")


def random_weight(format: str, rows: int, columns: int, seed: int = 0, top: int | None = None) -> IntegerWeight:
    """Integers as an error-compensating quantizer leaves them: ``top`` below the range's end on request."""
    rng = np.random.default_rng(seed)
    parsed = WeightFormat.parse(format)
    low, high = parsed.integer_range
    if top is not None:
        low, high = -top, top
    scale_rows = 1 if parsed.granularity == "tensor" else rows
    # few significant bits, so that products with a multiplier are float16 numbers
    scale = (rng.integers(32, 64, (scale_rows, 1)) / 2.0**12).astype(np.float32)
    multiplier = None
    if parsed.block_size is not None:
        groups = columns // parsed.block_size
        multiplier = rng.integers(1, parsed.max_multiplier + 1, (rows, groups)).astype(np.int8)
    integers = rng.integers(low, high + 1, (rows, columns)).astype(np.int8)
    return IntegerWeight(parsed, integers, scale, block_multiplier=multiplier)


def model_with_calls(paths: dict[str, str], signatures: int = 1, width: int = 8) -> Any:
    """A converted model as litert-torch leaves it: in each signature one opaque call after another."""
    schema = flatbuffer.schema()
    model = schema.ModelT(version=3, operatorCodes=[], subgraphs=[], buffers=[schema.BufferT()], signatureDefs=[])
    for call in (LINEAR_CALL, EMBEDDING_CALL):
        custom = schema.BuiltinOperator.CUSTOM
        model.operatorCodes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=custom, builtinCode=custom, customCode=call.encode())
        )
    for signature in range(signatures):
        subgraph = schema.SubGraphT(tensors=[], operators=[], inputs=[0], outputs=[len(paths)])
        subgraph.name = f"seq{signature}"
        for index in range(len(paths) + 1):
            subgraph.tensors.append(
                schema.TensorT(shape=[1, width], name=b"/home/someone/model.py" + bytes([65 + index]))
            )
        for index, (path, call) in enumerate(paths.items()):
            subgraph.operators.append(
                schema.OperatorT(
                    opcodeIndex=(LINEAR_CALL, EMBEDDING_CALL).index(call),
                    inputs=[index],
                    outputs=[index + 1],
                    customOptions=np.frombuffer(path.encode(), np.uint8),
                )
            )
        model.subgraphs.append(subgraph)
    return model


def written(model: Any, path: Path) -> Any:
    flatbuffer.save(model, path)
    return flatbuffer.load(path)


@given(
    bits=st.sampled_from([4, 8]),
    rows=st.integers(1, 5),
    columns=st.integers(1, 17),
    seed=st.integers(0, 2**16),
)
def test_unpack_is_the_inverse_of_pack(bits: int, rows: int, columns: int, seed: int) -> None:
    top = 2 ** (bits - 1)
    integers = np.random.default_rng(seed).integers(-top, top, (rows, columns)).astype(np.int8)
    packed = pack(integers, bits)
    assert packed.dtype == np.uint8
    assert packed.size == -(-rows * columns * bits // 8)
    assert np.array_equal(unpack(packed, bits, (rows, columns)), integers)


def test_the_first_of_two_values_is_the_low_half() -> None:
    assert pack(np.array([[1, -1]], np.int8), 4).tolist() == [0xF1]


@given(seed=st.integers(0, 2**16), rows=st.integers(1, 6), groups=st.integers(1, 6))
def test_every_product_of_two_levels_can_be_decomposed(seed: int, rows: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    channel = (rng.integers(32, 64, (rows, 1)) * 2.0 ** rng.integers(-19, -8)).astype(np.float32)
    scale = channel * rng.integers(1, 19, (rows, groups)).astype(np.float32)
    levels = decompose_block_scale(scale, 18)
    assert levels is not None
    assert np.array_equal(levels[0] * levels[1].astype(np.float32), scale)
    assert levels[1].min() >= 1
    assert levels[1].max() <= 18


def test_scales_that_are_no_two_levels_have_no_decomposition() -> None:
    assert decompose_block_scale(np.array([[1.0, np.pi]], np.float32), 18) is None


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("top", [None, 5])
def test_integers_come_back_bit_for_bit(format: str, top: int | None, tmp_path: Path) -> None:
    linear = random_weight(format, 6, 128, seed=1, top=top)
    table = random_weight(format, 10, 128, seed=2, top=top)
    model = model_with_calls({"a.linear": LINEAR_CALL, "a.table": EMBEDDING_CALL})
    placement = place_integers(model, {"a.linear": QuantizedLinear(linear, None), "a.table": QuantizedEmbedding(table)})
    flatbuffer.compact(model, placement.tensor_names)
    flatbuffer.save(model, tmp_path / "m.tflite")
    found = read_weights(tmp_path / "m.tflite", {"a.linear": linear, "a.table": table})
    assert found["a.linear"].same_as(linear)
    assert found["a.table"].same_as(table)


@settings(max_examples=25)
@given(
    format=st.sampled_from(FORMATS),
    rows=st.integers(1, 9),
    seed=st.integers(0, 2**16),
    top=st.sampled_from([None, 1, 6]),
)
def test_any_weight_comes_back(
    tmp_path_factory: pytest.TempPathFactory, format: str, rows: int, seed: int, top: int | None
) -> None:
    weight = random_weight(format, rows, 128, seed, top)
    model = model_with_calls({"w": LINEAR_CALL})
    place_integers(model, {"w": QuantizedLinear(weight, None)})
    path = tmp_path_factory.getbasetemp() / "any.tflite"
    flatbuffer.save(model, path)
    assert read_weights(path, {"w": weight})["w"].same_as(weight)


def test_a_layer_of_another_format_is_left_out(tmp_path: Path) -> None:
    weight = random_weight("int8", 4, 32)
    model = model_with_calls({"w": LINEAR_CALL})
    place_integers(model, {"w": QuantizedLinear(weight, None)})
    flatbuffer.save(model, tmp_path / "m.tflite")
    others = [random_weight("int4", 4, 32), random_weight("int8-tensor", 4, 32), random_weight("int8", 5, 32)]
    for other in others:
        assert read_weights(tmp_path / "m.tflite", {"w": other}) == {}
    assert read_weights(tmp_path / "m.tflite", {"absent": weight}) == {}


def test_a_layer_that_differs_between_signatures_is_left_out(tmp_path: Path) -> None:
    weight = random_weight("int8", 4, 32)
    model = model_with_calls({"w": LINEAR_CALL}, signatures=2)
    place_integers(model, {"w": QuantizedLinear(weight, None)})
    second = next(t for t in model.subgraphs[1].tensors if t.name == "w")
    changed = np.array(model.buffers[second.buffer].data)
    changed[0] ^= 1
    model.buffers.append(flatbuffer.schema().BufferT(data=changed))
    second.buffer = len(model.buffers) - 1
    flatbuffer.save(model, tmp_path / "m.tflite")
    assert read_weights(tmp_path / "m.tflite", {"w": weight}) == {}


def test_opaque_calls_become_operators_with_their_options(tmp_path: Path) -> None:
    layers = {
        "fc": QuantizedLinear(random_weight("int4", 8, 8), None),
        "table": QuantizedEmbedding(random_weight("int8", 4, 8)),
    }
    model = model_with_calls({"table": EMBEDDING_CALL, "fc": LINEAR_CALL})
    placement = place_integers(model, layers)
    flatbuffer.compact(model, placement.tensor_names)
    model = written(model, tmp_path / "m.tflite")
    names = [flatbuffer.operator_name(model, operator) for operator in model.subgraphs[0].operators]
    assert names == ["EMBEDDING_LOOKUP", "FULLY_CONNECTED"]
    fully_connected = model.subgraphs[0].operators[1]
    assert fully_connected.inputs[2] == flatbuffer.NO_TENSOR
    assert fully_connected.builtinOptions.keepNumDims
    assert not any(code.customCode for code in model.operatorCodes)
    assert set(placement.weights) == {"fc", "table"}


def test_versions_keep_runtimes_without_the_kernel_away(tmp_path: Path) -> None:
    """One scale a matrix is old; per-channel and block kernels came later, and the file says so."""
    versions = {}
    for format in ("int8-tensor", "int8", "int4-block32"):
        model = model_with_calls({"w": LINEAR_CALL})
        place_integers(model, {"w": QuantizedLinear(random_weight(format, 4, 32), None)})
        versions[format] = model.operatorCodes[model.subgraphs[0].operators[0].opcodeIndex].version
    assert versions == {"int8-tensor": 9, "int8": 12, "int4-block32": 13}


def test_a_layer_without_a_call_is_left_out(tmp_path: Path) -> None:
    layers = {name: QuantizedLinear(random_weight("int8", 4, 8), None) for name in ("used", "unused")}
    placement = place_integers(model_with_calls({"used": LINEAR_CALL}), layers)
    assert set(placement.weights) == {"used"}


def test_signatures_share_weights_and_scales(tmp_path: Path) -> None:
    layers = {"table": QuantizedEmbedding(random_weight("int8", 3000, 8))}
    sizes = []
    for signatures in (1, 3):
        model = model_with_calls({"table": EMBEDDING_CALL}, signatures)
        placement = place_integers(model, layers)
        flatbuffer.compact(model, placement.tensor_names)
        model = written(model, tmp_path / "m.tflite")
        buffers = {
            tensor.buffer
            for subgraph in model.subgraphs
            for tensor in subgraph.tensors
            if flatbuffer.tensor_name(tensor) == "table"
        }
        assert len(buffers) == 1
        sizes.append((tmp_path / "m.tflite").stat().st_size)
    # 24,000 bytes of integers, 12,000 of scales, 24,000 of zero points: none of them twice
    assert sizes[0] > 60_000
    assert sizes[1] - sizes[0] < 1_000


def test_equal_constants_become_one_and_constants_are_aligned(tmp_path: Path) -> None:
    schema = flatbuffer.schema()
    model = model_with_calls({"w": LINEAR_CALL})
    place_integers(model, {"w": QuantizedLinear(random_weight("int8", 4, 8), None)})
    subgraph = model.subgraphs[0]
    for values in ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [4.0]):
        data = np.array(values, np.float32).view(np.uint8)
        model.buffers.append(schema.BufferT(data=data))
        subgraph.tensors.append(schema.TensorT(shape=[len(values)], buffer=len(model.buffers) - 1))
    flatbuffer.compact(model, frozenset({"w"}))
    model = written(model, tmp_path / "m.tflite")
    first, second, third = model.subgraphs[0].tensors[-3:]
    assert first.buffer == second.buffer != third.buffer
    raw = (tmp_path / "m.tflite").read_bytes()
    view = schema.Model.GetRootAs(raw, 0)
    for index in range(view.BuffersLength()):
        if view.Buffers(index).DataLength():
            start = view.Buffers(index)._tab.Vector(view.Buffers(index)._tab.Offset(4))
            assert start % 16 == 0, f"buffer {index} starts at {start}"


def test_names_and_metadata_that_nobody_reads_are_dropped(tmp_path: Path) -> None:
    schema = flatbuffer.schema()
    model = model_with_calls({"w": LINEAR_CALL})
    model.description = "MLIR Converted."
    model.metadata = [schema.MetadataT(name="min_runtime_version", buffer=0)]
    placement = place_integers(model, {"w": QuantizedLinear(random_weight("int8", 4, 8), None)})
    flatbuffer.compact(model, placement.tensor_names)
    flatbuffer.save(model, tmp_path / "m.tflite")
    raw = (tmp_path / "m.tflite").read_bytes()
    for leftover in (b"/home", b"MLIR", b"min_runtime_version", b"custom_call"):
        assert leftover not in raw


def test_equal_models_are_equal_bytes(tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        model = model_with_calls({"w": LINEAR_CALL}, signatures=2)
        place_integers(model, {"w": QuantizedLinear(random_weight("int4-block32", 4, 64), None)})
        flatbuffer.save(model, tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"not a model at all")
    with pytest.raises(ExportError, match="not a TFLite file"):
        flatbuffer.load(tmp_path / "m.tflite")


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    repeated=st.lists(st.booleans(), min_size=3, max_size=3),
    other_rank=st.integers(0, 3),
    seed=st.integers(0, 2**16),
)
def test_shrinking_a_constant_changes_no_result(
    shape: list[int], repeated: list[bool], other_rank: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    small = [1 if repeat else size for size, repeat in zip(shape, repeated, strict=False)]
    values = np.broadcast_to(rng.normal(size=small).astype(np.float32), shape)
    other = rng.normal(size=shape[len(shape) - min(other_rank, len(shape)) :]).astype(np.float32)
    result = shrunk(values, other.shape) + other
    assert result.shape == (values + other).shape
    assert np.array_equal(result, values + other)


def test_a_constant_that_says_one_row_many_times_is_shrunk(tmp_path: Path) -> None:
    schema = flatbuffer.schema()
    row = np.arange(8, dtype=np.float32)
    model = schema.ModelT(version=3, buffers=[schema.BufferT()], subgraphs=[schema.SubGraphT(tensors=[], operators=[])])
    flatbuffer.operator_code(_with_codes(model), "ADD", 1)
    model.buffers.append(schema.BufferT(data=np.tile(row, (1, 5, 1)).reshape(-1).view(np.uint8)))
    for shape, buffer in (([5, 8], 0), ([1, 5, 8], 1), ([1, 5, 8], 0)):
        model.subgraphs[0].tensors.append(schema.TensorT(shape=shape, buffer=buffer))
    model.subgraphs[0].operators.append(schema.OperatorT(opcodeIndex=0, inputs=[0, 1], outputs=[2]))
    shrink_broadcast_constants(model)
    constant = model.subgraphs[0].tensors[1]
    assert list(constant.shape) == [1, 1, 8]
    assert np.array_equal(flatbuffer.constant_bytes(model, constant).view(np.float32), row)


def _with_codes(model: Any) -> Any:
    model.operatorCodes = []
    return model
