"""`edgeformer bench`: what is refused before a device is reached, ctrl-C, and the verdict on an emulated board."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from edgeformer.cli import main
from edgeformer.commands.bench import table
from edgeformer_devices.remote import EmulatedRun, Options
from edgeformer_devices.remote.emulated_run import VariantOutputs
from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.errors import InputError


@pytest.mark.parametrize("where", ["local", "ssh://nowhere.invalid", "adb://none", "emulated://raspberry-pi-4"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant", "onxx"], "--variant onxx: the bundle has auto, onnx, tflite"),
        (["--variant", "tflite", "--sequence-length", "17"], "takes: tflite up to 16. Choose a shorter one"),
    ],
)
def test_what_the_bundle_cannot_do_is_answered_before_anything_is_reached(
    bundle_path, where, arguments, message, capsys, monkeypatch
):
    monkeypatch.setenv("PATH", "")  # neither ssh, adb nor apt-get could even be started
    assert main(["bench", str(bundle_path), "--on", where, *arguments]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert "runcate" not in errors
    assert "reach" not in errors


@pytest.mark.parametrize(
    ("variant", "length"), [("auto", 16), ("tflite", 16), ("tflite", 9), ("onnx", 13), ("onnx", 1), ("auto", 17)]
)
def test_what_a_variant_takes_is_let_through(bundle, variant, length):
    Options(variant=variant, sequence_length=length).check(bundle.manifest)


def test_an_engine_that_runs_no_chosen_variant_is_refused(bundle):
    with pytest.raises(InputError, match="--engine litert: no variant asked for runs on it"):
        Options(variant="onnx", engine="litert").check(bundle.manifest)
    Options(variant="tflite", engine="tflite-runtime").check(bundle.manifest)


def test_a_length_for_inputs_without_a_sequence_is_refused(bundle):
    manifest = replace(bundle.manifest, inputs=(TensorSpec("x", "float32", ("batch", 4)),))
    with pytest.raises(InputError, match="--sequence-length 4: the inputs of 'tiny-classifier' have no sequence"):
        Options(sequence_length=4).check(manifest)


def test_without_a_limit_in_the_bundle_any_length_is_let_through(bundle):
    Options(variant="onnx", sequence_length=4096).check(replace(bundle.manifest, preprocess=None))


def test_ctrl_c_says_nothing_of_publishing(bundle_path):
    """A real SIGINT to a real process and its child, as a terminal sends it."""
    command = [sys.executable, "-u", "-m", "edgeformer", "bench", bundle_path, "--variant", "onnx"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    for line in process.stderr:
        if "measuring" in line:
            os.killpg(process.pid, signal.SIGINT)
            break
    rest = process.communicate(timeout=600)[1]
    assert process.returncode == 1
    assert rest.splitlines()[-1] == "edgeformer: interrupted"


def verdict(*rows: VariantOutputs) -> str:
    return table(EmulatedRun("emulated://x", "emulated", "", "bundle", "0" * 64, 8, rows, ())).splitlines()[-1]


RIGHT = VariantOutputs("onnx", True, "onnxruntime", "onnxruntime", 0.1, 0.04, 0.99, 1.0)
APART = VariantOutputs("tflite", True, "litert", "litert", 0.2, 0.06, 0.99, 1.0)
CRASHED = VariantOutputs("tflite", False, None, None, failed=True, reason="inference failed")
UNCOMPARED = VariantOutputs("tflite", True, "litert", None, reason="not compared: no engine")
ABSENT = VariantOutputs("coreml", False, None, None, reason="not here")


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ((RIGHT, UNCOMPARED, ABSENT), "passed: 2 of 3 variants ran there, 1 were compared with the same here, and "
         "none of these differs by more than 0.05 of the largest output here"),
        ((UNCOMPARED,), "passed: 1 of 1 variants ran there, 0 were compared"),
        ((RIGHT, APART), "2 were compared with the same here; tflite differs by more than 0.05 of the largest output"),
        ((RIGHT, CRASHED), "FAILED: 1 of 2 variants ran there, 1 were compared with the same here; tflite failed"),
        ((ABSENT,), "FAILED: 0 of 1 variants ran there, 0 were compared with the same here; none ran"),
    ],
)  # fmt: skip
def test_the_verdict_on_an_emulated_board_states_its_numbers(rows, text):
    assert text in verdict(*rows)


def test_a_variant_that_gave_no_numbers_is_failed_and_not_compared():
    broken = replace(APART, max_relative_difference=None, failed=True, reason="an output isn't finite")
    assert verdict(RIGHT, broken).startswith("FAILED: 2 of 2 variants ran there, 1 were compared")
