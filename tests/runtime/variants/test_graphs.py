"""Variants of several graphs: what a call runs, what is refused, and that nothing stays open."""

from __future__ import annotations

import numpy as np
import pytest

from edgeformer_runtime.bundle.manifest import Graph, State, TensorSpec, VariantEntry
from edgeformer_runtime.errors import EngineError, InputError
from edgeformer_runtime.variants.graphs import GraphsRunner, cannot_run, open_runner

A, B = TensorSpec("a", "float32", ("batch", 2)), TensorSpec("b", "float32", ("batch", "sequence"))
X, Y = TensorSpec("x", "float32", ("batch", 2)), TensorSpec("y", "float32", ("batch", "sequence"))


class Doubling:
    """Its one output is twice its one input."""

    delegation = ("all on the CPU",)

    def __init__(self, output: str) -> None:
        self.output, self.label, self.runs, self.closed = output, "numpy", 0, False

    def run(self, feeds):
        self.runs += 1
        (array,) = feeds.values()
        return {self.output: 2 * array}

    def close(self):
        self.closed = True


def entry(**graphs):
    return VariantEntry("v", "onnx", "onnxruntime", graphs, 1, lengths={"sequence": (4,)})


TOWERS = entry(first=Graph("1.onnx", (A,), (X,)), second=Graph("2.onnx", (B,), (Y,)))


@pytest.fixture
def opened():
    models = {"1.onnx": Doubling("x"), "2.onnx": Doubling("y")}
    seen = []

    def load(path, variant):
        seen.append((path, list(variant.graphs)))
        return models[path]

    runner = open_runner(TOWERS, (A, B), (X, Y), load)
    assert seen == [("1.onnx", ["main"]), ("2.onnx", ["main"])]  # an engine sees one graph alone
    return runner, models


def test_a_call_runs_the_graphs_whose_inputs_it_gives(opened):
    runner, models = opened
    a, b = np.ones((1, 2), np.float32), np.ones((3, 2), np.float32)
    assert isinstance(runner, GraphsRunner)
    assert list(runner.run({"a": a})) == ["x"]
    assert models["2.onnx"].runs == 0
    found = runner.run({"b": b, "a": a})  # other numbers of rows, and a length that is padded to 4 and cut back
    assert (found["x"].shape, found["y"].shape) == ((1, 2), (3, 2))
    assert (found["y"] == 2).all()
    assert runner.label == "numpy"
    assert runner.delegation == ("first: all on the CPU", "second: all on the CPU")
    runner.close()
    assert all(model.closed for model in models.values())


@pytest.mark.parametrize(
    ("feeds", "said"),
    [
        ({}, "got nothing"),
        ({"c": 1}, "got c"),
        ({"a": np.ones((1, 2), np.float32), "c": 1}, r"first: a; second: b.*got c"),
    ],
)
def test_inputs_of_no_graph_are_refused(opened, feeds, said):
    with pytest.raises(InputError, match=said):
        opened[0].run(feeds)


def test_what_was_opened_is_closed_where_another_graph_fails():
    first = Doubling("x")

    def load(path, _):
        if path == "2.onnx":
            raise EngineError("damaged")
        return first

    with pytest.raises(EngineError, match="damaged"):
        open_runner(TOWERS, (A, B), (X, Y), load)
    assert first.closed


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (entry(main=Graph("1.onnx", states=(State("a", "x", 1, "append"),))), "in steps"),
        (entry(first=Graph("1.onnx"), second=Graph("2.onnx", (B,), (Y,))), "don't say what each of them takes"),
        (entry(main=Graph("1.onnx")), ""),
        (TOWERS, ""),
    ],
)
def test_graphs_that_can_not_be_run_have_a_reason(variant, said):
    assert said in cannot_run(variant)
    assert bool(said) == bool(cannot_run(variant))
