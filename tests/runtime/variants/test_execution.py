from __future__ import annotations

import numpy as np
import pytest

from edgeformer_runtime.bundle.manifest import TensorSpec, VariantEntry, one_graph
from edgeformer_runtime.errors import EngineError, InputError
from edgeformer_runtime.variants.execution import VariantRunner

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

INPUTS = (
    TensorSpec("ids", "int64", ("batch", "sequence"), 7),
    TensorSpec("mask", "int64", ("batch", "sequence")),
    TensorSpec("scale", "float32", ("batch",)),
)
OUTPUTS = (
    TensorSpec("sum", "float32", ("batch",)),
    TensorSpec("each", "float32", ("batch", "sequence", 2)),
)


def function(feeds):
    """Numpy stands in for an evaluator: a masked sum a row, and two values a position."""
    each = np.stack([feeds["ids"] * feeds["scale"][:, None], feeds["mask"]], axis=-1)
    return {"sum": (feeds["ids"] * feeds["mask"]).sum(1) * feeds["scale"], "each": each}


class NumpyModel:
    """A LoadedModel that notes the shapes that it is given."""

    label = "numpy"
    delegation = ()

    def __init__(self, change=lambda results: results):
        self.shapes = []
        self.padding = set()
        self.change = change
        self.closed = 0

    def run(self, feeds):
        self.shapes.append(feeds["ids"].shape)
        self.padding.update(feeds["ids"][feeds["mask"] == 0].tolist())
        return self.change(function(feeds))

    def close(self):
        self.closed += 1


def runner(model=None, **variant):
    entry = VariantEntry("v", "onnx", "onnxruntime", one_graph("model.onnx"), 1, **variant)
    return VariantRunner(model or NumpyModel(), entry, INPUTS, OUTPUTS)


def rows(batch, length, seed=0):
    generator = np.random.default_rng(seed)
    return {
        "ids": generator.integers(0, 50, (batch, length)),
        "mask": np.ones((batch, length), np.int64),
        "scale": generator.standard_normal(batch).astype(np.float32),
    }


@hypothesis.settings(max_examples=120, deadline=None, database=None)
@hypothesis.given(
    batch=st.integers(1, 7),
    length=st.integers(1, 12),
    fixed_batch=st.none() | st.integers(1, 4),
    lengths=st.sets(st.integers(1, 20), max_size=4),
    seed=st.integers(0, 100),
)
def test_splitting_and_padding_change_nothing(batch, length, fixed_batch, lengths, seed):
    lengths = tuple(sorted(lengths))
    model = NumpyModel()
    feeds = rows(batch, length, seed)
    wrapped = runner(model, fixed_batch=fixed_batch, lengths={"sequence": lengths} if lengths else {})
    if lengths and length > max(lengths):
        with pytest.raises(InputError, match="longer than variant"):
            wrapped.run(feeds)
        assert model.shapes == []
        return
    result = wrapped.run(feeds)
    for name, expected in function(feeds).items():
        np.testing.assert_allclose(result[name], expected.astype(np.float32), rtol=1e-6)
        assert result[name].dtype == np.float32
    padded = min(size for size in lengths if size >= length) if lengths else length
    parts = 1 if fixed_batch is None else -(-batch // fixed_batch)
    assert model.shapes == [(fixed_batch or batch, padded)] * parts
    assert model.padding <= {7}


def test_the_message_names_the_lengths():
    wrapped = runner(lengths={"sequence": (8, 16)})
    assert wrapped.variant.longest("sequence") == 16
    with pytest.raises(InputError, match=r"sequence length 17 .* lengths 8, 16"):
        wrapped.run(rows(1, 17))
    assert runner().variant.longest("sequence") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": None}, "missing: ids"),
        ({"extra": np.ones(1)}, "unknown: extra"),
        ({"ids": np.ones((1, 4), np.float32)}, "expected int64, got float32"),
        ({"ids": np.array([["a"] * 4])}, "expected numbers"),
        ({"ids": [[1, 2], [3]]}, "input 'ids'"),
        ({"ids": np.ones((1, 4), np.uint64)}, "expected int64, got uint64"),
        ({"ids": np.ones(4, np.int64)}, r"expected shape \[batch, sequence\], got \[4\]"),
        ({"ids": np.ones((1, 5), np.int64)}, r"input 'mask'.* \('sequence' is 5 in input 'ids'\)"),
        ({"scale": np.ones(2, np.float32)}, r"\('batch' is 1 in input 'ids'\)"),
        ({"scale": np.ones(1, np.float64)}, "expected float32, got float64"),
        ({"ids": np.ones((0, 4), np.int64)}, "is empty"),
        ({"ids": np.ones((1, 0), np.int64)}, "is empty"),
    ],
)
def test_feeds_that_do_not_fit(change, message):
    feeds = {**rows(1, 4), **change}
    feeds = {name: value for name, value in feeds.items() if value is not None}
    model = NumpyModel()
    with pytest.raises(InputError, match=message):
        runner(model).run(feeds)
    assert model.shapes == []


def test_smaller_integers_are_taken():
    feeds = rows(2, 3)
    small = {**feeds, "ids": feeds["ids"].astype(np.int32), "mask": feeds["mask"].astype(bool)}
    np.testing.assert_array_equal(runner().run(small)["sum"], runner().run(feeds)["sum"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda results: {"sum": results["sum"]}, "output 'each' is missing"),
        (lambda results: {**results, "sum": results["each"]}, r"the manifest says \[batch\]"),
        (lambda results: {**results, "each": results["each"][:, :-1]}, "the manifest says"),
        (lambda results: {**results, "sum": results["sum"][:1]}, "the manifest says"),
    ],
)
def test_outputs_that_do_not_fit(change, message):
    with pytest.raises(EngineError, match=message):
        runner(NumpyModel(change)).run(rows(2, 3))


def test_inputs_without_a_batch_run_once():
    entry = VariantEntry("v", "onnx", "onnxruntime", one_graph("model.onnx"), 1, fixed_batch=1)
    spec = TensorSpec("x", "float32", (3,))

    class Model(NumpyModel):
        def run(self, feeds):
            return {"y": feeds["x"] * 2}

    wrapped = VariantRunner(Model(), entry, (spec,), (TensorSpec("y", "float32", (3,)),))
    np.testing.assert_array_equal(wrapped.run({"x": np.ones(3, np.float32)})["y"], [2, 2, 2])
    with pytest.raises(InputError, match=r"expected shape \[3\]"):
        wrapped.run({"x": np.ones(4, np.float32)})


def test_close_is_the_models():
    model = NumpyModel()
    runner(model).close()
    assert model.closed == 1


class Doubles(NumpyModel):
    """Twice its input, whatever its shape, which it remembers."""

    def run(self, feeds):
        self.seen = {name: array.shape for name, array in feeds.items()}
        return {"y": 2 * feeds["x"]}


@pytest.mark.parametrize("names", [("frames",), ("height", "width"), ("sequence", "sequence")])
def test_any_named_dimension_pads_and_is_cut_back(names):
    spec = TensorSpec("x", "float32", ("batch", *names), -1)
    lengths = dict.fromkeys(names, (4, 8))
    entry = VariantEntry("v", "onnx", "onnxruntime", one_graph("m"), 1, lengths=lengths, fixed_batch=1)
    model = Doubles()
    wrapped = VariantRunner(model, entry, (spec,), (TensorSpec("y", "float32", spec.shape),))
    x = np.ones((2, *(5 for _ in names)), np.float32)
    np.testing.assert_array_equal(wrapped.run({"x": x})["y"], 2 * x)
    assert model.seen["x"] == (1, *(8 for _ in names))
    with pytest.raises(InputError, match=f"{names[0]} length 9 is longer than variant 'v' takes"):
        wrapped.run({"x": np.ones((1, *(9 for _ in names)), np.float32)})


def test_a_model_without_any_length():
    spec = TensorSpec("x", "float32", ("batch", 3, 2, 2))
    entry = VariantEntry("v", "onnx", "onnxruntime", one_graph("m"), 1)
    x = np.ones((2, 3, 2, 2), np.float32)
    wrapped = VariantRunner(Doubles(), entry, (spec,), (TensorSpec("y", "float32", spec.shape),))
    np.testing.assert_array_equal(wrapped.run({"x": x})["y"], 2 * x)
