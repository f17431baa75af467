"""A small real bundle, and a device that is this machine's shell with a home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeformer_devices.remote.base import Output, RemoteError, run_local, shell_command
from edgeformer_runtime import BundleWriter
from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.manifest import Manifest, TaskSpec, TensorSpec, VariantEntry, one_graph
from edgeformer_runtime.preprocess.text import TextPreprocess

DATA = Path(__file__).resolve().parents[1] / "runtime" / "data"


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory):
    """The runtime tests' classifier, as ONNX and TFLite."""
    folder = tmp_path_factory.mktemp("bundles") / "classifier"
    with BundleWriter(folder) as writer:
        entries = []
        for name, engine, suffix in (("onnx", "onnxruntime", "onnx"), ("tflite", "litert", "tflite")):
            source = DATA / f"classifier.{suffix}"
            static = {"lengths": {"sequence": (8, 16)}, "fixed_batch": 1} if name == "tflite" else {}
            path = f"variants/{name}/model.{suffix}"
            entries.append(VariantEntry(name, name, engine, one_graph(path), source.stat().st_size, **static))
            target = writer.directory / path
            target.parent.mkdir(parents=True)
            shutil.copyfile(source, target)
        (writer.directory / "preprocess").mkdir()
        shutil.copyfile(DATA / "tokenizer.json", writer.directory / "preprocess/tokenizer.json")
        roles = (("input_ids", "tokens"), ("attention_mask", "mask"))
        inputs = tuple(TensorSpec(item, "int64", ("batch", "sequence"), role=role) for item, role in roles)
        writer.publish(
            Manifest(
                name="tiny-classifier",
                task=TaskSpec("text-classification", ("bad", "good", "other")),
                inputs=inputs,
                outputs=(TensorSpec("logits", "float32", ("batch", 3)),),
                files=(),
                variants=tuple(entries),
                preprocess=(TextPreprocess("preprocess/tokenizer.json", max_length=12, pad_token_id=0),),
                producer="tests",
            )
        )
    return folder


@pytest.fixture(scope="session")
def bundle(bundle_path):
    with Bundle.open(bundle_path) as opened:
        yield opened


@pytest.fixture
def device_home(tmp_path):
    """A device's home, and a python3 on its PATH that has the engines of this environment but not our packages."""
    home = tmp_path / "device"
    (home / "bin").mkdir(parents=True)
    site = next(path for path in sys.path if path.endswith("site-packages"))
    # -S keeps editable installs out, so that what runs there is what was copied there.
    script = f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{site}" exec {sys.executable} -S "$@"\n'
    for name in ("python3",):
        (home / "bin" / name).write_text(script)
        (home / "bin" / name).chmod(0o755)
    return home


def device_environment(home):
    return {"HOME": str(home), "PATH": f"{home / 'bin'}:/usr/bin:/bin", "LANG": "C.UTF-8"}


class Shell:
    """A way to a device that is this machine's shell: what ssh and adb hand over, without them."""

    shares_files = False

    def __init__(self, home: Path, **changes: str) -> None:
        self.address = "shell://here"
        self.environment = {**device_environment(home), **changes}
        self.sent: list[str] = []
        self.commands: list[str] = []

    def execute(self, command, *, timeout_s, progress=None) -> Output:
        self.commands.append(shell_command(command))
        line = ["sh", "-c", shell_command(command)]
        return run_local(line, timeout_s=timeout_s, what=self.address, environment=self.environment, progress=progress)

    def send(self, source, target, *, timeout_s) -> None:
        self.sent.append(target)
        done = subprocess.run(["cp", str(source), target], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RemoteError(f"{self.address}: {done.stderr}")

    def close(self) -> None:
        pass


@pytest.fixture
def shell(device_home):
    return Shell(device_home)


def folder_of(home) -> Path:
    return home / ".cache" / "edgeformer" / "bench"


def processes_with(text: str) -> list[int]:
    """Processes whose command line holds ``text``, this one aside."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in line:
                found.append(int(entry.name))
    return found
