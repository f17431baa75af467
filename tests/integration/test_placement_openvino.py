"""The placement of nodes on a provider that compiles parts of a graph, as TensorRT's does: OpenVINO's, on the CPU.

Both ways in which ONNX Runtime tells it are tried: the record (from 1.24 on) and the profile (before, as on a Jetson).
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, sys
import numpy as np
import onnxruntime as ort
from edgeformer_runtime.engines.placement import Recorder
wanted = "OpenVINOExecutionProvider"
result = {}
for way in ("record", "profile"):
    recorder = Recorder(ort)
    recorder._direct = way == "record"
    options = ort.SessionOptions()
    recorder.prepare(options)
    providers = [(wanted, {"device_type": "CPU"}), "CPUExecutionProvider"]
    session = ort.InferenceSession(sys.argv[1], options, providers=providers)
    feeds = {item.name: np.ones((1, 8), np.int64) for item in session.get_inputs()}
    found = recorder.read(session, feeds)
    recorder.close()
    result[way] = [{k: len(v) for k, v in found.nodes.items()}, dict(found.parts), found.notes(wanted, 7)]
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment with ONNX Runtime's OpenVINO build."""
    environment = tmp_path_factory.mktemp("openvino") / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    made = environment / "bin" / "python"
    install = [made, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    done = subprocess.run([*install, "onnxruntime-openvino==1.24.1", "numpy<2.4"], check=False)
    if done.returncode != 0:
        pytest.skip("no wheel of onnxruntime-openvino 1.24.1 for this Python and machine")
    subprocess.run([*install, str(ROOT / "runtime")], check=True)
    return made


def test_a_compiled_part_is_told_from_single_nodes(python):
    model = ROOT / "tests" / "runtime" / "data" / "classifier.onnx"
    done = subprocess.run([python, "-c", PROGRAM, model], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    nodes, parts, notes = found["record"]
    assert sum(nodes.values()) == 7
    assert parts == {}
    assert notes[0].startswith("OpenVINOExecutionProvider runs 7 nodes")
    nodes, parts, notes = found["profile"]
    assert nodes["OpenVINOExecutionProvider"] == parts["OpenVINOExecutionProvider"] >= 1
    assert "compiled part" in notes[0]
