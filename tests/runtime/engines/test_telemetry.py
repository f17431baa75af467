"""What an engine's library does beside inference, in a process of its own whose home directory is watched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ORT = pytest.importorskip("onnxruntime")
OPEN = """
import sys
from edgeformer_runtime import Session
with Session.open(sys.argv[1], variant="onnx") as session:
    print(session.predict(["words"]))
"""
PLAIN = """
import sys, onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""


def left_in_home(home: Path, program: str, argument: object, **more: str) -> list:
    """Files that a program leaves in its home directory."""
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment.update(HOME=str(home), EDGEFORMER_CACHE=str(home.parent / "cache"), **more)
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        environment.pop(name, None)
    subprocess.run([sys.executable, "-c", program, str(argument)], check=True, env=environment, stdout=subprocess.PIPE)
    return [path.relative_to(home) for path in home.rglob("*") if path.is_file()]


def test_a_session_leaves_nothing_in_the_home_directory(make_bundle, tmp_path):
    assert left_in_home(tmp_path / "home", OPEN, make_bundle()) == []


def test_the_variable_of_who_wants_it_is_obeyed(make_bundle, tmp_path):
    """And this test would see telemetry: where this release has any by itself, asking for it brings it back."""
    plain = left_in_home(tmp_path / "plain", PLAIN, Path(__file__).parents[1] / "data" / "classifier.onnx")
    wanted = left_in_home(tmp_path / "wanted", OPEN, make_bundle(), ORT_DISABLE_TELEMETRY="0")
    assert {path.name for path in wanted} >= {path.name for path in plain if path.suffix == ""}
