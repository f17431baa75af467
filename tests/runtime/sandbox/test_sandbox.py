from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from edgeformer_runtime import (
    Bundle,
    EngineError,
    InputError,
    Limits,
    RuntimeBundleError,
    SandboxError,
    Session,
    load_in_sandbox,
)
from edgeformer_runtime.sandbox import sandbox

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits are POSIX's")


@pytest.fixture
def path(make_bundle):
    return make_bundle()


def child_that(monkeypatch, code):
    """Give the child other code than its own, after it has read the request and set its limits."""
    start = "import sys, json, os; from edgeformer_runtime.sandbox.child import limit\n"
    start += "request = json.loads(sys.stdin.buffer.read()); limit(request['limits'])\n"
    real = subprocess.Popen
    monkeypatch.setattr(
        sandbox.subprocess, "Popen", lambda command, **more: real([command[0], "-c", start + code], **more)
    )


def test_a_sound_bundle_runs_and_is_remembered(path):
    result = load_in_sandbox(path)
    assert result.digest == Bundle.open(path).digest
    assert list(result.ran) == ["onnx"]
    assert not result.remembered
    again = load_in_sandbox(path)
    assert again.remembered
    assert again.ran == result.ran


def test_a_session_opens_after_it(path):
    with Session.open(path, sandbox=True) as session:
        assert session.predict(["good"])
    with Session.open(path, variant="onnx", sandbox=Limits(wall_s=600)) as session:
        assert session.predict(["good"])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os.abort()", "crashed its child process .SIGABRT."),
        ("import ctypes; ctypes.string_at(0)", "crashed its child process .SIGSEGV."),
        ("print('boom', file=sys.stderr); sys.exit(3)", "status 3: refused. The engine said: boom"),
        ("os.kill(os.getpid(), 9)", "was killed"),
        ("pass", "gave no answer"),
        ("print('[]')", "answer that is none"),
        ('print(\'{"kind": "os.system", "error": "x"}\')', "x"),
        ("print('x' * (2 << 20))", "ended its child process with status 0"),
    ],
)
def test_whatever_ends_the_child_is_our_error(path, monkeypatch, code, message):
    child_that(monkeypatch, code)
    with pytest.raises(SandboxError, match=message):
        Session.open(path, sandbox=True)
    monkeypatch.undo()


def test_a_child_that_hangs_is_stopped(path, monkeypatch):
    child_that(monkeypatch, "import time; time.sleep(600)")
    with pytest.raises(SandboxError, match="took longer than 1 s"):
        load_in_sandbox(path, limits=Limits(wall_s=1))


def test_a_child_that_computes_too_long_is_stopped(path, monkeypatch):
    child_that(monkeypatch, "while True: pass")
    with pytest.raises(SandboxError, match=r"processor time|was killed"):
        load_in_sandbox(path, limits=Limits(wall_s=600, cpu_s=1))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't limit memory")
def test_memory_is_limited(path, monkeypatch):
    code = "x = bytearray(1 << 30)"
    child_that(monkeypatch, f"try:\n    {code}\nexcept MemoryError: print(json.dumps({{'error': 'no memory'}}))")
    with pytest.raises(SandboxError, match="no memory"):
        load_in_sandbox(path, limits=Limits(memory_bytes=200_000_000))


def test_files_are_limited(path, monkeypatch, tmp_path):
    code = (
        f"f = os.open({str(tmp_path / 'big')!r}, os.O_CREAT | os.O_WRONLY); os.write(f, bytes(1000)); os.write(f, b'x')"
    )
    child_that(monkeypatch, f"try:\n    {code}\nexcept OSError: print(json.dumps({{'error': 'too large'}}))")
    with pytest.raises(SandboxError, match="too large"):
        load_in_sandbox(path, limits=Limits(file_bytes=1000))


def test_secrets_of_the_environment_stay_here(path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "secret")
    child_that(monkeypatch, "print(json.dumps({'error': os.environ.get('API_TOKEN', 'nothing')}))")
    with pytest.raises(SandboxError, match="nothing"):
        load_in_sandbox(path)


def test_errors_come_back_as_themselves(path, tmp_path):
    (path / "extra").write_text("x")
    with pytest.raises(RuntimeBundleError, match=r"is not in manifest\.json"):
        sandbox.open_in_sandbox(path)
    (path / "extra").unlink()
    assert sandbox.open_in_sandbox(path).digest == Bundle.open(path).digest
    with pytest.raises(EngineError, match="no variant 'other'"):
        load_in_sandbox(path, "other")


def test_a_model_that_is_none_is_refused_with_the_engines_words(make_bundle, tmp_path):
    model = tmp_path / "broken.onnx"
    model.write_bytes(b"\x08\x07broken" * 20)
    with pytest.raises(EngineError, match="no variant can run here: onnx"):
        load_in_sandbox(make_bundle(model=model))


@pytest.mark.parametrize(
    "wrong", [{"wall_s": 0}, {"cpu_s": -1}, {"memory_bytes": 1000}, {"memory_bytes": "1"}, {"wall_s": float("nan")}]
)
def test_limits_that_are_none(wrong):
    with pytest.raises(InputError, match="sandbox"):
        Limits(**wrong)


def test_the_command_line(path):
    def run(*words):
        command = [sys.executable, "-m", "edgeformer_runtime", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("verify", path, "--sandbox", "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert list(value["ran"]) == ["onnx"]
    assert value["signed_by"] is None
    assert any("who made it" in line for line in value["unproved"])
    assert "signature: none" in run("verify", path).stdout
    assert run("predict", path, "--sandbox", "good").returncode == 0
    done = run("predict", path, "--sandbox-memory", "1", "good")
    assert done.returncode == 2
    assert "expected at least" in done.stderr


def test_a_child_whose_parent_is_gone_ends_by_itself(path):
    code = "from edgeformer_runtime.sandbox.child import limit; import time, signal; "
    code += "limit({'wall_s': -4, 'cpu_s': 5, 'file_bytes': 1, 'memory_bytes': 0}); time.sleep(600)"
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=300)
    assert done.returncode == -signal.SIGALRM


def test_a_refusal_in_the_child_keeps_its_kind_and_code(path):
    manifest = path / "manifest.json"
    data = json.loads(manifest.read_text(encoding="utf-8"))
    del data["checksum"]
    for change, code in (({"colour": "red"}, "manifest"), ({"format_version": 3}, "format-version")):
        manifest.write_text(json.dumps({**data, **change}), encoding="utf-8")
        with pytest.raises(RuntimeBundleError) as caught:
            sandbox.open_in_sandbox(path)
        assert caught.value.code == code
