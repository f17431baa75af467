"""Wheels built from a clean checkout, installed outside it: every file is there, and the commands answer."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "edgeformer": ROOT / "edgeformer",
    "edgeformer_converters": ROOT / "converters" / "edgeformer_converters",
    "edgeformer_devices": ROOT / "devices" / "edgeformer_devices",
}


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Both wheels, from a clone without anything uncommitted or ignored."""
    work = tmp_path_factory.mktemp("wheels")
    run("git", "clone", "--quiet", ROOT, work / "clone")
    for source in (work / "clone", work / "clone" / "runtime"):
        run(sys.executable, "-m", "build", "--wheel", "--outdir", work / "out", source)
    host = next((work / "out").glob("edgeformer-*.whl"))
    runtime = next((work / "out").glob("edgeformer_runtime-*.whl"))
    return work, host, runtime


def test_the_host_wheel_holds_every_source_file(wheels):
    names = set(zipfile.ZipFile(wheels[1]).namelist())
    for package, folder in SOURCES.items():
        tracked = run("git", "ls-files", folder, cwd=ROOT).split()
        for path in tracked:
            inside = f"{package}/{(ROOT / path).relative_to(folder).as_posix()}"
            assert inside in names
    assert not any(name.startswith(("tests/", "runtime/", "converters/", "devices/", "examples/")) for name in names)


def test_the_device_wheel_is_small_and_pure(wheels):
    assert wheels[2].name.endswith("-py3-none-any.whl")
    assert wheels[2].stat().st_size <= 300_000


def test_both_work_outside_the_checkout(wheels, tmp_path):
    """The heavy dependencies are borrowed from this environment; our own packages come from the wheels alone."""
    _, host, runtime = wheels
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", host, runtime)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    here = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    (site / "borrowed.pth").write_text(f"{here}\n")
    where = run(
        python, "-c", "import edgeformer, edgeformer_runtime as r; print(edgeformer.__file__, r.__file__)", cwd=tmp_path
    )
    assert all(Path(path).is_relative_to(tmp_path) for path in where.split())
    bin = tmp_path / "venv" / "bin"
    assert "raspberry-pi-5" in run(bin / "edgeformer", "devices", cwd=tmp_path)
    assert "compile" in run(bin / "edgeformer", "--help", cwd=tmp_path)
    assert "unavailable" in run(bin / "edgeformer-run", "sensors", cwd=tmp_path)
    code = (
        "import torch, edgeformer as ef\n"
        "m = ef.from_module(torch.nn.Linear(8, 4), {'x': torch.randn(2, 8)})\n"
        "b = ef.compile(m, output='out', recipe='int8', formats=['onnx'], resume=False)\n"
        "print(b.manifest.variants[0].verification.executed_by)"
    )
    assert "onnxruntime" in run(python, "-c", code, cwd=tmp_path)


def test_a_missing_extra_is_named(wheels, tmp_path):
    """An environment where coremltools can't be found: the message says what to install."""
    code = (
        "import sys, importlib.util\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'coremltools' else real(name, *a)\n"
        "from edgeformer.cli import main\n"
        "sys.exit(main(['compile', 'nowhere', '-o', 'out', '--format', 'coreml']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "pip install 'edgeformer[coreml]'" in done.stderr
