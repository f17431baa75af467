from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer_runtime.engines.onnx_signed import with_signed_weights

onnx = pytest.importorskip("onnx")  # a workstation's: no device has it
TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper

WEIGHT = np.random.default_rng(0).integers(0, 256, (6, 4)).astype(np.uint8)
ZEROS = np.array([128, 100, 255, 0], np.uint8)


def model(*, extra=(), outputs=("y",), zero=ZEROS, weight_as_raw=True):
    """y = MatMulInteger(x, w, 3, zero); ``extra``: nodes behind it."""
    tensors = [numpy_helper.from_array(WEIGHT, "w"), numpy_helper.from_array(np.array(3, np.uint8), "x_zero")]
    if not weight_as_raw:
        tensors[0] = helper.make_tensor("w", TensorProto.UINT8, WEIGHT.shape, WEIGHT.ravel().tolist())
    inputs = ["x", "w", "x_zero"]
    if zero is not None:
        tensors.append(numpy_helper.from_array(zero, "w_zero"))
        inputs.append("w_zero")
    infos = {"y": (TensorProto.INT32, ["rows", 4]), "z": (TensorProto.FLOAT, [6, 4])}
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", inputs, ["y"]), *extra],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["rows", 6])],
        [helper.make_tensor_value_info(name, *infos[name]) for name in outputs],
        tensors,
        value_info=[helper.make_tensor_value_info("w", TensorProto.UINT8, WEIGHT.shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def signed(proto, tmp_path):
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    content = with_signed_weights(tmp_path / "model.onnx")
    return None if content is None else onnx.load_from_string(content)


def test_weights_zeros_and_types_change_and_nothing_else(tmp_path):
    before = model()
    after = signed(before, tmp_path)
    onnx.checker.check_model(after, full_check=True)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
    assert tensors["w"].dtype == tensors["w_zero"].dtype == np.int8
    assert np.array_equal(tensors["w"], (WEIGHT.astype(int) - 128).astype(np.int8))
    assert tensors["w_zero"].tolist() == [0, -28, 127, -128]
    assert tensors["x_zero"].dtype == np.uint8
    assert after.graph.value_info[0].type.tensor_type.elem_type == TensorProto.INT8
    del after.graph.initializer[:], before.graph.initializer[:], after.graph.value_info[:], before.graph.value_info[:]
    assert after == before


def test_products_are_the_same(tmp_path):
    reference = pytest.importorskip("onnx.reference")
    x = np.random.default_rng(1).integers(0, 256, (3, 6)).astype(np.uint8)
    want = (x.astype(int) - 3) @ (WEIGHT.astype(int) - ZEROS.astype(int))
    for proto in (model(), signed(model(), tmp_path)):
        got = reference.ReferenceEvaluator(proto).run(None, {"x": x})[0]
        assert np.array_equal(got, want)


@pytest.mark.parametrize("zero", [None, ZEROS.astype(np.int8) // 2])
def test_a_file_without_such_products_stays(zero, tmp_path):
    """A product without a zero point of its weights, and one whose weights' zero isn't uint8."""
    assert signed(model(zero=zero), tmp_path) is None


@pytest.mark.parametrize(("value", "smallest", "turned"), [(0, -128, True), (0, -127, False), (1, -127, True)])
def test_a_weight_below_the_smallest_exact_one_stays(value, smallest, turned, tmp_path):
    proto = model()
    weight = np.maximum(WEIGHT, 1)
    weight[2, 3] = value
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    assert (with_signed_weights(tmp_path / "model.onnx", smallest) is not None) == turned


def test_a_weight_that_something_else_reads_stays(tmp_path):
    cast = helper.make_node("Cast", ["w"], ["z"], to=TensorProto.FLOAT)
    assert signed(model(extra=[cast], outputs=("y", "z")), tmp_path) is None


def test_a_weight_that_is_stored_in_another_field_stays(tmp_path):
    assert signed(model(weight_as_raw=False), tmp_path) is None


def test_a_weight_that_is_computed_in_an_unknown_way_stays(tmp_path):
    proto = model()
    proto.graph.node.insert(0, helper.make_node("Identity", ["w"], ["same"]))
    proto.graph.node[1].input[1] = "same"
    assert signed(proto, tmp_path) is None


def test_what_is_no_onnx_file_stays(tmp_path):
    path = tmp_path / "model.onnx"
    for content in (b"", b"not a model", model().SerializeToString()[:-3], b"\xff" * 20):
        path.write_bytes(content)
        assert with_signed_weights(path) is None


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_file_never_raises(tmp_path_factory, data):
    content = bytearray(model().SerializeToString())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "model.onnx"
    path.write_bytes(bytes(content))
    found = with_signed_weights(path)
    assert found is None or len(found) == len(content)
