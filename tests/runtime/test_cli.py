from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from edgeformer_runtime import Report, cli
from edgeformer_runtime.commands import info
from edgeformer_runtime.errors import InputError, InternalError

pytest.importorskip("onnxruntime")


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_info(make_bundle, capsys):
    path = make_bundle(variants=("onnx", "coreml"))
    status, out, _ = run(capsys, "info", path)
    assert status == 0
    assert "runs here on onnxruntime" in out
    status, out, err = run(capsys, "info", path, "--json")
    value = json.loads(out)
    assert (status, err) == (0, "")
    assert [(item["name"], item["usable"]) for item in value["variants"]] == [
        ("onnx", True),
        ("coreml", False),
    ]


def test_predict(make_bundle, capsys, tmp_path):
    path = make_bundle()
    status, out, _ = run(capsys, "predict", path, "good", "bad " * 30)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["good", "bad"]
    assert out.splitlines()[1].endswith("(truncated)")
    (tmp_path / "texts").write_text("good\n\nbad\n")
    status, out, _ = run(capsys, "predict", path, "--lines", tmp_path / "texts", "--json", "--threads", 1)
    assert [item["label"] for item in json.loads(out)["results"]] == ["good", "bad"]


def test_predict_pairs(make_bundle, capsys, tmp_path):
    path = make_bundle("answers")
    status, out, _ = run(capsys, "predict", path, "--pair", "Ann lives in", "Ann lives in Rome.")
    assert (status, out.split("\t")[0].startswith("Ann lives in Rome")) == (0, True)
    (tmp_path / "pairs").write_text("Ann lives in\tAnn lives in Rome.\n")
    assert run(capsys, "predict", path, "--pair", "--lines", tmp_path / "pairs")[1] == out
    for wrong in (["--pair", "one"], ["one"], ["--pair", "--lines", tmp_path / "missing"], []):
        assert run(capsys, "predict", path, *wrong)[0] == 2
    (tmp_path / "pairs").write_text("no tab\n")
    assert "a tab between" in run(capsys, "predict", path, "--pair", "--lines", tmp_path / "pairs")[2]


def test_the_other_tasks_print_a_line(make_bundle, capsys):
    status, out, _ = run(capsys, "predict", make_bundle("tokens"), "Ann lives in Rome")
    assert (status, out.startswith("PER=Ann (")) == (0, True)


def test_bench(make_bundle, capsys, tmp_path):
    path = make_bundle()
    report = tmp_path / "report.json"
    status, out, err = run(
        capsys, "bench", path, "--quick", "--runs", 5, "--threads", 1, "--json", report, "--variant", "onnx"
    )
    assert status == 0
    assert "latency p50" in out
    assert out.splitlines()[-1].startswith(("VALID", "INVALID"))
    assert "warming up" in err
    assert Report.from_json(report.read_text(encoding="utf-8")).runs == 5
    status, out, _ = run(capsys, "bench", path, "--quick", "--duration", 0.01, "--sequence-length", 3, "--json", "-")
    assert Report.from_json(out).sequence_length == 3
    for wrong in (tmp_path, tmp_path / "nowhere" / "report.json"):  # told before anything is measured
        status, out, err = run(capsys, "bench", path, "--runs", 1, "--json", wrong)
        assert (status, out, "can't be written" in err, "warming" in err) == (2, "", True, False)
    assert run(capsys, "bench", path, "--quick", "--sustained", 0)[0] == 2


def test_sensors(capsys):
    status, out, _ = run(capsys, "sensors")
    assert (status, "power" in out, "hwmon" in out) == (0, True, True)
    assert json.loads(run(capsys, "sensors", "--json")[1])["power"]["status"] == "unavailable"


def test_exit_statuses(make_bundle, capsys, tmp_path):
    path = make_bundle()
    status, out, err = run(capsys, "info", tmp_path / "nowhere")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert run(capsys, "predict", path, "x", "--variant", "other")[0] == 2
    (path / "extra").write_text("x")
    assert run(capsys, "info", path)[0] == 1
    with pytest.raises(SystemExit) as caught:
        cli.main(["nonsense"])
    assert caught.value.code == 2


def test_errors_show_a_traceback_only_with_debug(tmp_path):
    with pytest.raises(InputError):
        cli.main(["info", str(tmp_path / "nowhere"), "--debug"])


def test_surprises_and_interrupts(make_bundle, capsys, monkeypatch):
    def raising(error):
        def command(options):
            raise error

        return command

    monkeypatch.setattr(info, "run", raising(ZeroDivisionError("x")))
    status, _, err = run(capsys, "info", "bundle")
    assert (status, err.startswith("edgeformer-run: info: ")) == (1, True)
    assert "ZeroDivisionError: x. Run again with --debug" in err
    monkeypatch.setenv("EDGEFORMER_DEBUG", "1")
    with pytest.raises(InternalError):
        run(capsys, "info", "bundle")
    monkeypatch.delenv("EDGEFORMER_DEBUG")
    monkeypatch.setattr(info, "run", raising(PermissionError(13, "Permission denied", "reports/")))
    assert run(capsys, "info", "bundle") == (1, "", "edgeformer-run: reports/: Permission denied\n")
    monkeypatch.setattr(info, "run", raising(KeyboardInterrupt()))
    assert run(capsys, "info", "bundle") == (130, "", "edgeformer-run: interrupted\n")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_any_terminal_and_a_reader_that_leaves(make_bundle, encoding):
    command = f"{sys.executable} -m edgeformer_runtime predict {make_bundle()} 'g\u00f6\u00f6d good'"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    left = subprocess.run(["sh", "-c", f"{command} | head -c 0"], env=environment, stderr=subprocess.PIPE, check=True)
    assert left.stderr == b""
    shown = subprocess.run(["sh", "-c", command], env=environment, stdout=subprocess.PIPE, check=True).stdout
    assert shown.decode(encoding).startswith("good 0.")


def test_as_a_module():
    result = subprocess.run(
        [sys.executable, "-m", "edgeformer_runtime", "--version"], stdout=subprocess.PIPE, check=True
    )
    assert result.stdout.startswith(b"edgeformer-run 0.")
