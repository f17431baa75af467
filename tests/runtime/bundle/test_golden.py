from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeformer_runtime import Bundle, RuntimeBundleError
from edgeformer_runtime.bundle.golden import (
    GOLDEN_NAME,
    MAX_BYTES,
    Golden,
    GoldenText,
    GoldenVariant,
    parse_golden,
    read_golden,
)
from edgeformer_runtime.bundle.manifest import Manifest, Skipped, TaskSpec, TensorSpec, VariantEntry, one_graph
from edgeformer_runtime.files.listing import FileEntry

MANIFEST = Manifest(
    name="m",
    task=TaskSpec("tensors"),
    inputs=(TensorSpec("x", "int64", ("batch", "sequence")),),
    outputs=(TensorSpec("y", "float32", ("batch", 3)),),
    files=(FileEntry("m.onnx", 1, "0" * 64),),
    variants=(VariantEntry("onnx", "onnx", "onnxruntime", one_graph("m.onnx"), 1),),
)
X, Y = np.array([[1, 2]]), np.array([[0.5, -1, 2]], np.float32)


def golden(x=X, y=Y, similarity_min=0.99):
    return Golden(({"x": x},), {"onnx": GoldenVariant(({"y": y},), similarity_min, "an engine")})


def test_a_bundle_without_golden_rows_has_none(make_bundle):
    with Bundle.open(make_bundle()) as bundle:
        assert read_golden(bundle) is None


def test_equal_values_give_equal_bytes_and_come_back():
    files = golden().to_files()
    assert files == golden(X.copy(order="F"), Y.copy()).to_files()
    back = parse_golden(*files, MANIFEST)
    np.testing.assert_array_equal(back.rows[0]["x"], X)
    np.testing.assert_array_equal(back.variants["onnx"].outputs[0]["y"], Y)
    assert back.variants["onnx"].similarity_min == 0.99
    assert back.to_files() == files


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=4, max_side=4), elements=st.floats(-9, 9, width=32)))
def test_every_number_survives(array):
    back = parse_golden(*golden(y=array).to_files(), MANIFEST).variants["onnx"].outputs[0]["y"]
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_numbers_of_another_byte_order_are_the_same_file():
    assert golden(y=Y.astype(">f4")).to_files() == golden().to_files()


def changed(change):
    content, data = golden().to_files()
    value = json.loads(content)
    change(value)
    return json.dumps(value).encode(), data


def y_of(value):
    return value["variants"]["onnx"]["outputs"][0]["y"]


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(version=3),
        lambda v: v.update(more=1),
        lambda v: v.pop("rows"),
        lambda v: v.update(rows=[]),
        lambda v: v.update(rows=v["rows"] * 65),
        lambda v: v["rows"].append(v["rows"][0]),
        lambda v: v["rows"][0]["inputs"].pop("x"),
        lambda v: v["variants"].update(other=v["variants"]["onnx"]),
        lambda v: v["variants"]["onnx"].update(similarity_min=0),
        lambda v: v["variants"]["onnx"].update(similarity_min=1),
        lambda v: v["variants"]["onnx"].update(similarity_min=True),
        lambda v: v["variants"]["onnx"].update(similarity_min="1"),
        lambda v: v["variants"]["onnx"].update(outputs=[]),
        lambda v: y_of(v).update(dtype="object"),
        lambda v: y_of(v).update(dtype=["float32"]),
        lambda v: y_of(v).update(shape=[1, 5]),
        lambda v: y_of(v).update(shape=[-1, -3]),
        lambda v: y_of(v).update(shape=[3, True]),
        lambda v: y_of(v).update(shape=[10**9, 10**9]),
        lambda v: y_of(v).update(offset=-8),
        lambda v: y_of(v).update(offset=24),
        lambda v: y_of(v).update(offset=True),
        lambda v: y_of(v).pop("offset"),
        lambda v: v["rows"][0].update(text="a text"),
        lambda v: v["rows"][0].update(text={"text": 3}),
        lambda v: v["rows"][0].update(more=1),
        lambda v: v["variants"]["onnx"].update(predictions=[]),
        lambda v: v["variants"]["onnx"].update(predictions=["good"]),
    ],
)
def test_what_does_not_fit_is_refused(change):
    with pytest.raises(RuntimeBundleError, match=r"golden\.json"):
        parse_golden(*changed(change), MANIFEST)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b" " * (MAX_BYTES + 1)])
def test_what_is_no_golden_file_is_refused(content):
    with pytest.raises(RuntimeBundleError, match=GOLDEN_NAME.replace(".", r"\.")):
        parse_golden(content, b"", MANIFEST)


def test_numbers_that_are_not_finite_are_refused():
    content, data = golden().to_files()
    with pytest.raises(RuntimeBundleError, match="aren't finite"):
        parse_golden(content, data[:16] + np.full(3, np.nan, "<f4").tobytes() + data[28:], MANIFEST)


def test_data_beyond_the_limit_is_refused():
    with pytest.raises(RuntimeBundleError, match=r"golden\.bin has 8388609 bytes"):
        parse_golden(golden().to_files()[0], bytes(MAX_BYTES + 1), MANIFEST)


def test_texts_and_predictions_come_back():
    text = GoldenText("zürich 東京", None, "query")
    variant = GoldenVariant(({"y": Y},), 0.99, "an engine", ({"label": "good"},))
    files = Golden(({"x": X},), {"onnx": variant}, (text,)).to_files()
    back = parse_golden(*files, MANIFEST)
    assert back.texts == (text,)
    assert back.variants["onnx"].predictions == ({"label": "good"},)
    assert back.to_files() == files


def test_a_variant_that_was_skipped_is_skipped():
    skipped = replace(MANIFEST, variants=(), skipped=(Skipped("variant", "onnx", "of a later release"),))
    assert parse_golden(*golden().to_files(), skipped).variants == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["version", "rows", "variants"]), json_values)
def test_any_json_in_any_place_is_read_or_refused(key, value):
    files = changed(lambda v: v.update({key: value}))
    with contextlib.suppress(RuntimeBundleError):
        parse_golden(*files, MANIFEST)
