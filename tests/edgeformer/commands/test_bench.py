"""`edgeformer bench`: what it refuses before it reaches anything, and what it prints of a device's report."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edgeformer.cli import main
from edgeformer.commands.bench import table
from edgeformer_devices.remote import Measured
from edgeformer_devices.remote.install import Installed
from edgeformer_runtime import BundleWriter
from edgeformer_runtime.bundle.manifest import Manifest, TaskSpec, TensorSpec, VariantEntry, one_graph
from edgeformer_runtime.measuring.report import Report


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory):
    """The runtime tests' classifier, as ONNX."""
    folder = tmp_path_factory.mktemp("bundles") / "classifier"
    source = Path(__file__).resolve().parents[2] / "runtime" / "data" / "classifier.onnx"
    with BundleWriter(folder) as writer:
        (writer.directory / "variants").mkdir()
        shutil.copyfile(source, writer.directory / "variants/model.onnx")
        entry = VariantEntry("onnx", "onnx", "onnxruntime", one_graph("variants/model.onnx"), source.stat().st_size)
        inputs = tuple(TensorSpec(name, "int64", ("batch", "sequence")) for name in ("input_ids", "attention_mask"))
        outputs = (TensorSpec("logits", "float32", ("batch", 3)),)
        writer.publish(Manifest("tiny", TaskSpec("tensors"), inputs, outputs, (), (entry,), producer="tests"))
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "pi@host"], "expected local, ssh://"),
        (["--on", "ssh://pi:secret@host"], "no password is given here"),
        (["--on", "emulated://raspberry-pi-9"], "did you mean raspberry-pi"),
        (["--on", "emulated://raspberry-pi-4", "--keep"], "have no meaning for a board that is emulated"),
        (["--keep"], "have no meaning here"),
        (["--ssh-config", "x"], "is not reached by ssh"),
        (["--runs", "0"], "--runs 0: expected a positive number"),
        (["--engine", "torch"], "--engine torch: expected onnxruntime"),
        (["--json", "/nowhere/x.json"], "expected a file in a folder that exists"),
    ],
)
def test_a_wrong_call_is_answered_with_status_2(bundle_path, arguments, message, capsys):
    assert main(["bench", str(bundle_path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_no_bundle_is_answered_with_status_2(tmp_path, capsys):
    assert main(["bench", str(tmp_path / "nothing")]) == 2
    assert "nothing is there" in capsys.readouterr().err


@pytest.fixture(scope="module")
def measured_here(bundle_path, tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "report.json"
    assert main(["bench", str(bundle_path), "--variant", "onnx", "--quick", "--threads", "1", "--json", str(file)]) == 0
    return file.read_text()


def test_a_report_from_here_is_a_report_and_says_how_it_was_come_by(measured_here):
    assert Report.from_json(measured_here).variant == "onnx"
    assert json.loads(measured_here)["reached"]["address"] == "local"


def test_names_that_a_device_gave_cannot_steer_the_terminal(measured_here):
    report = replace(Report.from_json(measured_here), engine="\x1b[2Jengine\x07")
    found = Measured(report, "ssh://pi", "3.11.2", "aarch64", Installed("workstation", (), "", (), 0), 1_500_000, False)
    text = table(found)
    assert "\x1b" not in text
    assert "?[2Jengine?" in text
    assert "engine sent from here, 1.5 MB sent" in text
