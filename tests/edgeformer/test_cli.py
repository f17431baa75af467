"""The command line as a user meets it: exit statuses, messages, nothing half-written."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from edgeformer.cli import guarded, main
from edgeformer.recipe import PRESETS


def compile_arguments(model, output, *more):
    fixed = "--recipe int8 --format onnx --sequence-lengths 16 --set gate.min_cosine_integer_activations=0.9"
    return ["compile", str(model), "-o", str(output), *fixed.split(), *more]


def test_compile_inspect_verify(tiny_model, reviews, tmp_path, capsys):
    output = tmp_path / "bundle"
    assert main(compile_arguments(tiny_model, output, "--evaluation", str(reviews["evaluation"]), "--json")) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["variants"][0]["verification"]["samples"] == 24
    assert main(["inspect", str(output)]) == 0
    assert "onnx" in capsys.readouterr().out
    assert main(["verify", str(output), "--evaluation", str(reviews["evaluation"]), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["variants"][0]
    assert row["metric"] == row["metric_at_compile"] == made["variants"][0]["verification"]["metric"]
    assert row["cosine_min"] is None  # the only variant: compared with itself, nothing is shown
    assert "self-check: passed" in row["golden_rows"]
    assert main(["verify", str(output)]) == 0
    assert "onnx: self-check: passed" in capsys.readouterr().out


def test_help_names_every_preset(capsys):
    with pytest.raises(SystemExit):
        main(["compile", "--help"])
    shown = capsys.readouterr().out
    assert [name for name in PRESETS if name not in shown] == []


def test_inspect_model(tiny_model, capsys):
    assert main(["inspect", str(tiny_model), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["architecture"] == "bert"
    assert found["layers"]["bert.encoder.layer.0.attention.self.query"] == "attention"


def test_devices(capsys):
    assert main(["devices"]) == 0
    assert "raspberry-pi-5" in capsys.readouterr().out
    assert main(["devices", "jetson-orin-nano"]) == 0
    assert "tensorrt" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["devices", "raspbery-pi-5"], 2, "raspberry-pi-5"),
        (["verify", "nowhere"], 2, "nowhere"),
        (["inspect", "nowhere"], 2, "nowhere"),
        (["compile", "nowhere", "-o", "OUT", "--recipe", "balancd"], 2, "did you mean 'balanced'"),
        (["compile", "nowhere", "-o", "OUT", "--set", "quantize.hed=int8"], 2, "did you mean 'head'"),
        (["compile", "nowhere", "-o", "OUT", "--format", "onnx"], 2, "no such directory"),
    ],
)
def test_wrong_input_ends_with_2_and_one_message(tmp_path, capsys, arguments, status, message):
    arguments = [str(tmp_path / "out") if item == "OUT" else item for item in arguments]
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_comma_without_a_name_behind_it_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["compile", "nowhere", "-o", "out", "--labels", "a,b,"])
    assert "'a,b,': expected names with a comma between them, got an empty one" in capsys.readouterr().err


def test_a_failed_gate_ends_with_1(tiny_model, tmp_path, capsys):
    arguments = compile_arguments(tiny_model, tmp_path / "out", "--set", "gate.min_cosine_integer_activations=1.0")
    assert main(arguments) == 1
    assert "nothing was published" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_tampered_bundle_ends_with_1(tiny_model, tmp_path, capsys):
    output = tmp_path / "bundle"
    assert main(compile_arguments(tiny_model, output)) == 0
    model = output / "variants" / "onnx" / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))
    assert main(["verify", str(output)]) == 1
    assert "model.onnx" in capsys.readouterr().err


def test_a_full_disk_is_said_plainly(capsys):
    def work():
        raise OSError(errno.ENOSPC, "No space left on device")

    assert guarded(work, debug=False) == 1
    assert "the disk is full" in capsys.readouterr().err


def test_a_foreign_exception_in_a_pass_names_stage_pass_and_library(tiny_model, tmp_path, capsys, monkeypatch):
    import torch

    from edgeformer.passes.quantize import Quantize

    def broken(self, model, context):
        torch.linalg.inv(torch.zeros(2, 2))

    monkeypatch.setattr(Quantize, "run", broken)
    assert main(compile_arguments(tiny_model, tmp_path / "out")) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("edgeformer:")]
    assert line.startswith("edgeformer: pass quantize (after ")
    assert f"torch {torch.__version__} raised: LinAlgError" in line or "_LinAlgError" in line
    assert "--debug" in line
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EDGEFORMER_DEBUG", "1")
    assert main(["inspect", str(tmp_path / "nowhere")]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_while_publishing_leaves_nothing(tiny_model, tmp_path, capsys, monkeypatch):
    import edgeformer.publish

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(edgeformer.publish, "copy_files", full)
    assert main(compile_arguments(tiny_model, tmp_path / "out")) == 1
    assert "the disk is full" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


SLOW = [pytest.param(moment, marks=pytest.mark.slow) for moment in ("quantize", "evaluate", "verify onnx")]


@pytest.mark.parametrize("moment", ["load", "export onnx", *SLOW])
def test_interrupting_any_stage(tiny_model, tmp_path, moment):
    """A real SIGINT to a real process, when it says that the stage begins or has begun."""
    output = tmp_path / "out"
    command = [sys.executable, "-u", "-m", "edgeformer", *compile_arguments(tiny_model, output, "--no-resume")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if moment in line:
            process.send_signal(signal.SIGINT)
            break
    rest = process.communicate(timeout=600)[1]
    assert process.returncode == 1, "".join(lines) + rest
    assert "interrupted: nothing was published" in rest
    assert "Traceback" not in rest
    assert list(tmp_path.iterdir()) == []


def test_help_is_quick_because_nothing_heavy_is_imported():
    code = "import sys; from edgeformer.cli import build_parser; build_parser().format_help(); print(len(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert int(output.stdout) < 300  # the benchmark holds the time
