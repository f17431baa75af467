from __future__ import annotations

import base64
import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeformer_runtime import Bundle, RuntimeBundleError
from edgeformer_runtime.bundle.golden import GOLDEN_NAME, MAX_BYTES, Golden, GoldenVariant, parse_golden, read_golden
from edgeformer_runtime.bundle.manifest import Manifest, TaskSpec, TensorSpec, VariantEntry
from edgeformer_runtime.files.listing import FileEntry

MANIFEST = Manifest(
    name="m",
    task=TaskSpec("tensors"),
    inputs=(TensorSpec("x", "int64", ("batch", "sequence")),),
    outputs=(TensorSpec("y", "float32", ("batch", 3)),),
    files=(FileEntry("m.onnx", 1, "0" * 64),),
    variants=(VariantEntry("onnx", "onnx", "onnxruntime", "m.onnx", 1),),
)
X, Y = np.array([[1, 2]]), np.array([[0.5, -1, 2]], np.float32)


def golden(x=X, y=Y, similarity_min=0.99):
    return Golden(({"x": x},), {"onnx": GoldenVariant(({"y": y},), similarity_min, "an engine")})


def test_a_bundle_without_golden_rows_has_none(make_bundle):
    with Bundle.open(make_bundle()) as bundle:
        assert read_golden(bundle) is None


def test_equal_values_give_equal_bytes_and_come_back():
    content = golden().to_bytes()
    assert content == golden(X.copy(order="F"), Y.copy()).to_bytes()
    back = parse_golden(content, MANIFEST)
    np.testing.assert_array_equal(back.rows[0]["x"], X)
    np.testing.assert_array_equal(back.variants["onnx"].outputs[0]["y"], Y)
    assert back.variants["onnx"].similarity_min == 0.99
    assert back.to_bytes() == content


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=4, max_side=4), elements=st.floats(-9, 9, width=32)))
def test_every_number_survives(array):
    back = parse_golden(golden(y=array).to_bytes(), MANIFEST).variants["onnx"].outputs[0]["y"]
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_numbers_of_another_byte_order_are_the_same_file():
    assert golden(y=Y.astype(">f4")).to_bytes() == golden().to_bytes()


def changed(change):
    value = json.loads(golden().to_bytes())
    change(value)
    return json.dumps(value).encode()


def y_of(value):
    return value["variants"]["onnx"]["outputs"][0]["y"]


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(version=2),
        lambda v: v.update(more=1),
        lambda v: v.pop("rows"),
        lambda v: v.update(rows=[]),
        lambda v: v.update(rows=v["rows"] * 65),
        lambda v: v["rows"].append({"x": v["rows"][0]["x"]}),
        lambda v: v["rows"][0].pop("x"),
        lambda v: v["variants"].update(other=v["variants"]["onnx"]),
        lambda v: v["variants"]["onnx"].update(similarity_min=0),
        lambda v: v["variants"]["onnx"].update(similarity_min=1),
        lambda v: v["variants"]["onnx"].update(similarity_min=True),
        lambda v: v["variants"]["onnx"].update(similarity_min="1"),
        lambda v: v["variants"]["onnx"].update(outputs=[]),
        lambda v: y_of(v).update(dtype="object"),
        lambda v: y_of(v).update(dtype=["float32"]),
        lambda v: y_of(v).update(shape=[1, 4]),
        lambda v: y_of(v).update(shape=[-1, -3]),
        lambda v: y_of(v).update(shape=[3, True]),
        lambda v: y_of(v).update(shape=[10**9, 10**9]),
        lambda v: y_of(v).update(data="!"),
        lambda v: y_of(v).update(data=7),
        lambda v: y_of(v).update(data=base64.b64encode(np.full(3, np.nan, np.float32).tobytes()).decode()),
    ],
)
def test_what_does_not_fit_is_refused(change):
    with pytest.raises(RuntimeBundleError, match=r"golden\.json"):
        parse_golden(changed(change), MANIFEST)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b" " * (MAX_BYTES + 1)])
def test_what_is_no_golden_file_is_refused(content):
    with pytest.raises(RuntimeBundleError, match=GOLDEN_NAME.replace(".", r"\.")):
        parse_golden(content, MANIFEST)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["version", "rows", "variants"]), json_values)
def test_any_json_in_any_place_is_read_or_refused(key, value):
    content = changed(lambda v: v.update({key: value}))
    with contextlib.suppress(RuntimeBundleError):
        parse_golden(content, MANIFEST)
