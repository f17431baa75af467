"""What heads and channels cost in milliseconds: a block's two halves alone, timed in ONNX Runtime on this machine.

Each half is a graph of its own, of standard operators in float32. All sizes are timed in turn, again and again, so that
a machine that slows down slows all of them; the smallest time of each counts, since noise only adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeformer_runtime.engines.onnxruntime import PACKAGE
from edgeformer_runtime.engines.packages import import_package, is_installed
from edgeformer_runtime.errors import EngineError
from edgeformer_runtime.measuring.turns import in_turns

from .units import BlockShape

_ROUNDS = 15
_POINTS = 8  # sizes that are timed of each half; between them costs are interpolated
_OPSET = 17


@dataclass(frozen=True)
class BlockLatency:
    """Measured milliseconds of one row: {heads: ms}, {channels: ms}, and how they were measured."""

    attention_ms: dict[int, float]
    feed_forward_ms: dict[int, float]
    engine: str
    threads: int
    sequence_length: int


def measure_block_latency(shape: BlockShape, sequence_length: int, round_to: int, threads: int) -> BlockLatency:
    """Time the halves of a block of ``shape`` at several numbers of heads and channels.

    Raises:
        EngineError: onnxruntime isn't installed.
    """
    if not is_installed(PACKAGE):
        raise EngineError("target latency: measured with onnxruntime, which isn't installed")
    onnxruntime = import_package(PACKAGE)
    heads = _points(shape.heads, 1)
    channels = _points(shape.channels, round_to)
    graphs = [_attention(shape, count, sequence_length) for count in heads]
    graphs += [_feed_forward(shape, count, sequence_length) for count in channels]
    times = _fastest(graphs, (1, sequence_length, shape.hidden), threads)
    return BlockLatency(
        attention_ms=dict(zip(heads, times[: len(heads)], strict=True)),
        feed_forward_ms=dict(zip(channels, times[len(heads) :], strict=True)),
        engine=f"onnxruntime {onnxruntime.__version__} CPU float32",
        threads=threads,
        sequence_length=sequence_length,
    )


def _points(largest: int, step: int) -> list[int]:
    """Up to ``_POINTS`` multiples of ``step``, evenly spread, the largest among them."""
    wanted = np.linspace(min(step, largest), largest, _POINTS)
    return sorted({min(largest, max(step, round(point / step) * step)) for point in wanted} | {largest})


def _fastest(graphs: Sequence[onnx.ModelProto], x_shape: tuple[int, ...], threads: int) -> list[float]:
    onnxruntime = import_package(PACKAGE)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # threads of one session that spin would slow the next one
    options.add_session_config_entry("session.force_spinning_stop", "1")
    sessions = [
        onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for graph in graphs
    ]
    feeds = {"x": np.random.default_rng(0).standard_normal(x_shape, dtype=np.float32)}
    calls = {index: partial(session.run, None, feeds) for index, session in enumerate(sessions)}
    turns = in_turns(calls, _ROUNDS, unwatched=1)
    return [min(turns.all_ms(index)) for index in calls]


def _attention(shape: BlockShape, heads: int, length: int) -> onnx.ModelProto:
    e, d = shape.hidden, shape.head_dim
    weights = {name: _random(e, heads * d) for name in ("q", "k", "v")} | {"o": _random(heads * d, e)}
    weights |= {"split": np.array([1, length, heads, d]), "join": np.array([1, length, heads * d])}
    nodes = []
    for name, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            helper.make_node("MatMul", ["x", name], [f"{name}0"]),
            helper.make_node("Reshape", [f"{name}0", "split"], [f"{name}1"]),
            helper.make_node("Transpose", [f"{name}1"], [f"{name}2"], perm=order),
        ]
    nodes += [
        helper.make_node("MatMul", ["q2", "k2"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v2"], ["mixed"]),
        helper.make_node("Transpose", ["mixed"], ["back"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["back", "join"], ["joined"]),
        helper.make_node("MatMul", ["joined", "o"], ["y"]),
    ]
    return _model(nodes, weights, length, e)


def _feed_forward(shape: BlockShape, channels: int, length: int) -> onnx.ModelProto:
    weights = {f"up{index}": _random(shape.hidden, channels) for index in range(shape.ups)}
    weights["down"] = _random(channels, shape.hidden)
    nodes = [helper.make_node("MatMul", ["x", name], [f"{name}y"]) for name in weights if name != "down"]
    # erf is what GELU costs; a gate costs a product more
    nodes.append(helper.make_node("Erf", ["up0y"], ["active"]))
    active = "active"
    for index in range(1, shape.ups):
        nodes.append(helper.make_node("Mul", [active, f"up{index}y"], [f"gated{index}"]))
        active = f"gated{index}"
    nodes.append(helper.make_node("MatMul", [active, "down"], ["y"]))
    return _model(nodes, weights, length, shape.hidden)


def _random(rows: int, columns: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(1).standard_normal((rows, columns), dtype=np.float32) * np.float32(rows**-0.5)


def _model(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], length: int, hidden: int) -> onnx.ModelProto:
    size = [1, length, hidden]
    graph = helper.make_graph(
        nodes,
        "half_block",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, size)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
