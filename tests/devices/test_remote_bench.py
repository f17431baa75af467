"""What a device's answer must be to become a report, and the options that reach it. The runs are real, and short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer_devices.remote import Options, RemoteError, measure
from edgeformer_devices.remote.base import Output
from edgeformer_devices.remote.bench import read_report
from edgeformer_devices.remote.emulated_run import MAX_DIFFERENCE, EmulatedRun, compare, make_feeds, outputs_here
from edgeformer_runtime.errors import InputError
from edgeformer_runtime.measuring.report import Report

from .conftest import folder_of


@pytest.fixture(scope="module")
def printed(bundle_path):
    """What `edgeformer-run bench --json -` really prints."""
    command = [sys.executable, "-m", "edgeformer_runtime", "bench", bundle_path, "--variant", "onnx", "--quick"]
    done = subprocess.run([*command, "--json", "-"], capture_output=True, check=True)
    return done.stdout


def answer(stdout: bytes, status: int = 0, stderr: str = "") -> Output:
    return Output(status, stdout, stderr)


def test_a_real_report_is_read(printed, bundle):
    report = read_report(answer(printed), "pi", bundle.digest)
    assert report.variant == "onnx"


@pytest.mark.parametrize(
    ("stdout", "status", "stderr", "message"),
    [
        (b"", 0, "", "is no report"),
        (b"\xff\xfe", 0, "", "is no report"),
        (b"[" * 50_000, 0, "", "is no report"),
        (b'{"report_version": 2}', 0, "", "is no report"),
        (b"Welcome to pi!\n{}", 0, "", "is no report"),
        (b"", 75, "", "another benchmark is running"),
        (b"", 137, "", "memory ran out"),
        (b"", 1, "edgeformer-run: no engine\x1b[2J", r"exit status 1\): edgeformer-run: no engine\?\[2J"),
    ],
)
def test_anything_else_is_refused(stdout, status, stderr, message, bundle):
    with pytest.raises(RemoteError, match=message):
        read_report(answer(stdout, status, stderr), "pi", bundle.digest)


def test_the_report_of_another_bundle_is_refused(printed):
    with pytest.raises(RemoteError, match="its report is of bundle"):
        read_report(answer(printed), "pi", "0" * 64)


@settings(max_examples=30)
@given(st.data())
def test_a_changed_report_is_a_report_or_our_error(printed, bundle, data):
    value = json.loads(printed)
    key = data.draw(st.sampled_from(sorted(value)))
    value[key] = data.draw(st.sampled_from([None, 0, -1, "x", [], {}, [None], {"a": []}, 1e308, True]))
    try:
        report = read_report(answer(json.dumps(value).encode()), "pi", bundle.digest)
    except RemoteError:
        return
    assert isinstance(report, Report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threads": 0}, "--threads 0: expected a positive"),
        ({"runs": -1}, "--runs -1"),
        ({"duration_s": float("nan")}, "--duration"),
        ({"engine": "torch"}, "--engine torch: expected onnxruntime, litert, tflite-runtime or installed"),
        ({"way": "magic"}, "--install magic: expected workstation or device"),
    ],
)
def test_wrong_options_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        Options(**change)


def test_options_become_the_devices_arguments():
    options = Options(variant="onnx", threads=2, runs=7, duration_s=1.5, sequence_length=8, quick=True)
    assert options.arguments() == ["--variant", "onnx", "--threads", "2", "--runs", "7", "--duration", "1.5",
                                   "--sequence-length", "8", "--quick"]  # fmt: skip


def test_a_failure_on_the_device_is_told_and_nothing_is_left(shell, bundle, device_home, tmp_path):
    """The static TFLite file takes 8 or 16 tokens; 17 are refused there, by the runtime."""
    options = Options(variant="tflite", engine="installed", sequence_length=17, quick=True)
    with pytest.raises(RemoteError, match=r"failed there \(exit status 2\): edgeformer-run: sequence length 17"):
        measure(bundle, shell, options, tmp_path, lambda line: None)
    assert not folder_of(device_home).exists()


def test_a_failure_with_keep_leaves_what_was_copied(shell, bundle, device_home, tmp_path):
    options = Options(variant="tflite", engine="installed", sequence_length=17, quick=True, keep=True)
    with pytest.raises(RemoteError):
        measure(bundle, shell, options, tmp_path, lambda line: None)
    assert (folder_of(device_home) / "runtime/edgeformer_runtime/session.py").is_file()


def failing(variant: str = "tflite", *, keep: bool = False) -> Options:
    return Options(variant=variant, engine="installed", sequence_length=17, quick=True, keep=keep)


@pytest.mark.parametrize("variant", ["tflite", "a-typing-error"])
def test_what_keep_left_stays_when_a_run_without_it_fails(shell, bundle, device_home, tmp_path, variant):
    def stop(line: str) -> None:
        if line == "measure":
            raise RemoteError("all is copied")

    folder = folder_of(device_home)
    with pytest.raises(RemoteError, match="all is copied"):
        measure(bundle, shell, failing(keep=True), tmp_path, stop)
    for age, name in enumerate(("bundle-older", "bundle-oldest"), start=1):
        (folder / name).mkdir()
        os.utime(folder / name, (10**9 - age, 10**9 - age))
    lines: list[str] = []
    with pytest.raises((RemoteError, InputError)):
        measure(bundle, shell, failing(variant), tmp_path, lines.append)
    assert {path.name for path in folder.glob("bundle-*")} == {f"bundle-{bundle.digest[:16]}", "bundle-older"}
    assert (folder / "runtime/edgeformer_runtime/session.py").is_file()
    (told,) = [line for line in lines if "--keep" in line]
    assert told.startswith(f"{folder} stays there: an earlier run with --keep asked for it")
    assert told.endswith("remove it there")


def test_a_device_without_numpy_is_told_so_before_anything_is_copied(shell, bundle, device_home, tmp_path):
    (device_home / "bin/python3").write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    with pytest.raises(RemoteError, match=r"has no numpy.*install it there.*or leave out --engine installed"):
        measure(bundle, shell, Options(engine="installed", quick=True), tmp_path, lambda line: None)
    assert [Path(path).name for path in shell.sent] == ["agent.py"]
    assert not folder_of(device_home).exists()


@pytest.mark.parametrize("keep", [False, True])
def test_an_interrupt_says_that_it_was_cleaned_up_only_where_it_was(shell, bundle, device_home, tmp_path, keep):
    def progress(line: str) -> None:
        if line == "measure":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        measure(bundle, shell, failing(keep=keep), tmp_path, progress)
    assert str(caught.value) == ("" if keep else "interrupted: what was copied there was cleaned up")
    assert folder_of(device_home).exists() is keep


@pytest.mark.slow
def test_with_keep_bundles_of_long_ago_go(shell, bundle, device_home, tmp_path):
    options = Options(variant="onnx", engine="installed", quick=True, threads=1, keep=True)
    folder = folder_of(device_home)
    for age, name in enumerate(("bundle-new", "bundle-older", "bundle-oldest"), start=1):
        (folder / name / "variants").mkdir(parents=True)
        os.utime(folder / name, (10**9 - age, 10**9 - age))
    lines: list[str] = []
    measure(bundle, shell, options, tmp_path, lines.append)
    assert {path.name for path in folder.glob("bundle-*")} == {f"bundle-{bundle.digest[:16]}", "bundle-new"}
    assert "removed 2 earlier bundles there: the last 2 stay" in lines


# ---- what an emulated board's outputs are compared by; here this machine stands on both sides ----


@pytest.fixture(scope="module")
def outputs(bundle_path):
    from edgeformer_runtime.bundle.bundle import Bundle

    with Bundle.open(bundle_path) as bundle:
        request = {
            "bundle": str(bundle.path),
            "variants": ["onnx", "tflite"],
            "threads": 1,
            "feeds": make_feeds(bundle),
        }
        return outputs_here(request)


def altered(outputs, change):
    changed = json.loads(json.dumps(outputs))
    changed["outputs"][0]["logits"][0][0] = change(changed["outputs"][0]["logits"][0][0])
    return changed


def test_equal_outputs_are_equal(outputs):
    row = compare("onnx", outputs["onnx"], outputs["onnx"])
    assert (row.equal, row.max_difference, row.agreement) == (True, 0.0, 1.0)
    assert row.cosine_min == pytest.approx(1)


def test_a_wrong_number_a_missing_one_and_a_wrong_shape_are_found(outputs):
    here = outputs["onnx"]
    largest = max(abs(value) for row in here["outputs"] for value in row["logits"][0])
    row = compare("onnx", altered(here, lambda value: value + 2 * MAX_DIFFERENCE * largest), here)
    assert row.equal is False
    assert row.max_relative_difference == pytest.approx(2 * MAX_DIFFERENCE)
    assert compare("onnx", altered(here, lambda value: float("nan")), here).equal is False
    shorter = {**here, "outputs": [{"logits": [row["logits"][0][:2]]} for row in here["outputs"]]}
    assert compare("onnx", shorter, here).equal is False


def run_of(*rows) -> EmulatedRun:
    return EmulatedRun("emulated://x", "emulated", "", "bundle", "0" * 64, 8, rows, ())


def test_a_run_passes_only_when_something_ran_and_nothing_is_wrong(outputs):
    right = compare("onnx", outputs["onnx"], outputs["onnx"])
    unusable = compare("coreml", {"error": "not here", "usable": False}, None)
    crashed = compare("tflite", {"error": "inference failed", "usable": True}, None)
    uncompared = compare("onnx", outputs["onnx"], None)
    assert run_of(right, unusable).passed
    assert run_of(right, uncompared).passed
    assert not run_of(unusable).passed
    assert not run_of(right, crashed).passed
    assert "not compared" in uncompared.reason


def test_an_emulated_run_has_no_latency_and_is_no_report(outputs):
    found = run_of(compare("onnx", outputs["onnx"], outputs["onnx"])).to_dict()
    text = json.dumps(found, allow_nan=False)
    assert found["emulated"] is True
    assert found["latency_ms"] is None
    assert "say nothing about the board" in found["reasons"]["latency_ms"]
    with pytest.raises(InputError, match="of an emulated run, which has no latencies"):
        Report.from_json(text)
