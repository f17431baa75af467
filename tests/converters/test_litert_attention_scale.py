"""The rewritten graph, run by the real interpreter beside the graph that it came from."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeformer_converters.litert import flatbuffer
from edgeformer_converters.litert.attention_scale import scale_queries

litert_torch = pytest.importorskip("litert_torch")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")


class Scores(torch.nn.Module):
    """Scores of 2 heads, scaled; ``also`` reads the unscaled ones too, ``factor`` may be one value a head."""

    def __init__(self, factor: torch.Tensor, first: bool = False, also: bool = False) -> None:
        super().__init__()
        self.register_buffer("factor", factor)
        self.first, self.also = first, also

    def forward(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        scores = query @ key.transpose(1, 2)
        scaled = self.factor * scores if self.first else scores * self.factor
        return torch.softmax(scaled, -1) + (scores if self.also else 0.0)


def converted(module: torch.nn.Module, length: int, head_dim: int, path: Path) -> Any:
    example = torch.ones(2, length, head_dim)
    litert_torch.convert(module.eval(), (example, example.clone())).export(str(path))
    return flatbuffer.load(path)


def run(model: Any, path: Path, *inputs: np.ndarray) -> np.ndarray:
    flatbuffer.save(model, path)
    opened = interpreter.Interpreter(model_path=str(path))
    opened.allocate_tensors()
    for detail, value in zip(opened.get_input_details(), inputs, strict=True):
        opened.set_tensor(detail["index"], value)
    opened.invoke()
    return opened.get_tensor(opened.get_output_details()[0]["index"])


def widths_of_products(model: Any) -> Counter[int]:
    """Last axis of each MUL's result."""
    return Counter(
        int(subgraph.tensors[operator.outputs[0]].shape[-1])
        for subgraph, operator in flatbuffer.operators(model)
        if flatbuffer.operator_name(model, operator) == "MUL"
    )


@pytest.mark.parametrize(
    ("module", "length", "head_dim", "moves"),
    [
        pytest.param(Scores(torch.tensor(0.125)), 24, 8, True, id="scaled"),
        pytest.param(Scores(torch.tensor(-3.0), first=True), 24, 8, True, id="factor first"),
        pytest.param(Scores(torch.tensor(0.125)), 8, 24, False, id="queries are larger than scores"),
        pytest.param(Scores(torch.tensor(0.125)), 8, 8, False, id="queries are as large as scores"),
        pytest.param(Scores(torch.tensor(0.125), also=True), 24, 8, False, id="unscaled scores are read too"),
        pytest.param(Scores(torch.tensor([[[0.1]], [[0.2]]])), 24, 8, False, id="one factor a head"),
    ],
)
def test_the_scale_moves_where_that_is_less_work(
    module: Scores, length: int, head_dim: int, moves: bool, tmp_path: Path
) -> None:
    model = converted(module, length, head_dim, tmp_path / "before.tflite")
    before = copy.deepcopy(model)
    scale_queries(model)
    assert widths_of_products(before) == {length: 1}
    assert widths_of_products(model) == {head_dim if moves else length: 1}
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(2, length, head_dim)).astype(np.float32) for _ in range(2)]
    expected = module(*map(torch.from_numpy, inputs)).numpy()
    for name, each in (("old", before), ("new", model)):
        assert np.allclose(run(each, tmp_path / f"{name}.tflite", *inputs), expected, atol=1e-5)


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    model = converted(Scores(torch.tensor(0.125)), 24, 8, tmp_path / "m.tflite")
    scale_queries(model)
    flatbuffer.save(model, tmp_path / "once.tflite")
    scale_queries(model)
    flatbuffer.save(model, tmp_path / "twice.tflite")
    assert (tmp_path / "once.tflite").read_bytes() == (tmp_path / "twice.tflite").read_bytes()
