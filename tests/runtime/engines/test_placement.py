"""The placement of nodes: for real on the CPU provider, both ways in which ONNX Runtime tells it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeformer_runtime.engines.placement import Placement, Recorder, _from_profile
from edgeformer_runtime.errors import EngineError

ort = pytest.importorskip("onnxruntime")
DATA = Path(__file__).parent.parent / "data"
CPU, TENSORRT, CUDA = "CPUExecutionProvider", "TensorrtExecutionProvider", "CUDAExecutionProvider"
ROW = {name: np.ones((1, 8), np.int64) for name in ("input_ids", "attention_mask")}


class OldRuntime:
    """An ONNX Runtime before 1.24: its sessions keep no record."""

    class InferenceSession:
        pass


def placed(recorder):
    options = ort.SessionOptions()
    recorder.prepare(options)
    session = ort.InferenceSession(str(DATA / "classifier.onnx"), options, providers=[CPU])
    try:
        return recorder.read(session, ROW), session
    finally:
        recorder.close()


@pytest.mark.parametrize("runtime", [ort, OldRuntime], ids=["record", "profile"])
def test_every_node_of_a_real_session_is_on_the_cpu(runtime):
    placement, session = placed(Recorder(runtime))
    assert list(placement.nodes) == [CPU]
    operators = sorted(name.rsplit("(", 1)[1] for name in placement.nodes[CPU])
    assert operators == sorted(["Gather)", "Cast)", "Unsqueeze)", "Mul)", "ReduceSum)", "ReduceSum)", "Div)"])
    assert placement.fallen(CPU) == {}
    assert placement.notes(CPU, 7) == (f"{CPU} runs 7 nodes of a file of 7 nodes",)
    assert session.run(None, ROW)[0].shape == (1, 3)  # usable afterwards


def test_the_profile_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    placed(Recorder(OldRuntime))
    assert list(tmp_path.iterdir()) == []


def event(name, provider, operator):
    return {"cat": "Node", "name": f"{name}_kernel_time", "args": {"provider": provider, "op_name": operator}}


def test_compiled_parts_and_what_fell_back_by_name(tmp_path):
    """SYNTHETIC events in the real format: no TensorRT is here."""
    part = f"{TENSORRT}_TRTKernel_graph_main_graph_123_0_0"
    events = [
        {"cat": "Session", "name": "model_loading_uri", "args": {}},
        {"cat": "Node", "name": "Cast_1_fence_before", "args": {"op_name": "Cast"}},
        event("Cast_1", CPU, "Cast"),
        event(part, TENSORRT, "TRTKernel_graph_main_graph_123_0"),
        *(event(f"Gather_{index}", CUDA, "Gather") for index in range(7)),
        event("Cast_1", CPU, "Cast"),  # a second inference
    ]
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(events))
    placement = _from_profile(path)
    assert placement.parts == {TENSORRT: 1}
    assert placement.notes(TENSORRT, 312) == (
        f"{TENSORRT} runs 1 compiled part of a file of 312 nodes",
        f"1 node fell back to {CPU}: Cast_1 (Cast)",
        f"7 nodes fell back to {CUDA}: Gather_0 (Gather), Gather_1 (Gather), Gather_2 (Gather), Gather_3 (Gather), "
        "Gather_4 (Gather) and 2 more",
    )


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '[{"cat": "Node", "name": "a_kernel_time"}]', "[1, null]"])
def test_a_profile_that_tells_nothing_is_an_error(tmp_path, content):
    path = tmp_path / "profile.json"
    path.write_text(content)
    with pytest.raises(EngineError, match="doesn't tell"):
        _from_profile(path)
    with pytest.raises(EngineError, match="doesn't tell"):
        _from_profile(tmp_path / "absent.json")


def test_a_provider_that_took_nothing_says_so():
    notes = Placement({CPU: ("a (Add)",)}, {}).notes(TENSORRT)
    assert notes == (f"{TENSORRT} runs 0 nodes", f"1 node fell back to {CPU}: a (Add)")
