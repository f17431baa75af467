"""The device wheel as devices get it: built, weighed, and tested on every Python that it promises.

Needs a package index for pip, and interpreters named python3.8 … python3.13, on the PATH or of pyenv; missing
ones are skipped. CI runs three of them. Run it with: pytest tests/integration/test_runtime_pythons.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "runtime" / "edgeformer_runtime"
MAX_WHEEL_BYTES = 300_000
# JetPack 5's, JetPack 6's and the newest; elsewhere than in CI, all that the wheel promises
PYTHONS = ("3.8", "3.10", "3.13") if os.environ.get("CI") else ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
REQUIRED = ("pytest", "hypothesis")
OPTIONAL = ("onnxruntime", "ai-edge-litert", "cryptography", "pillow")  # not made for every Python


def run(*command: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=900, check=False, **options
    )


def find_python(version: str) -> str | None:
    """An interpreter that answers: pyenv's stubs are on the PATH even for versions that it doesn't offer."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"))
    for candidate in (shutil.which(f"python{version}"), *map(str, pyenv)):
        if candidate is not None and run(candidate, "-c", "import venv").returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, so that nothing is left in the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "build", "dist", "kernels", "android", "ios", "web")
    shutil.copytree(PACKAGE.parent, folder / "runtime", ignore=ignored)
    made = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder / "out", folder / "runtime")
    assert made.returncode == 0, made.stderr
    (path,) = (folder / "out").iterdir()
    return path


def test_the_wheel_holds_the_package_and_is_small(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == sources
    assert wheel.name == "edgeformer_runtime-0.1.0-py3-none-any.whl"
    assert wheel.stat().st_size <= MAX_WHEEL_BYTES


@pytest.mark.parametrize("version", PYTHONS)
def test_the_device_tests_pass(version, wheel, tmp_path):
    python = find_python(version)
    if python is None:
        pytest.skip(f"no python{version} here")
    assert run(python, "-m", "venv", tmp_path / "venv").returncode == 0
    inside = tmp_path / "venv" / "bin" / "python"
    # No sources: a device has no compiler, so each dependency must have a wheel for this Python.
    install = (inside, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:")
    installed = run(*install, wheel, *REQUIRED)
    assert installed.returncode == 0, installed.stderr
    engines = [name for name in OPTIONAL if run(*install, name).returncode == 0]
    shutil.copytree(REPOSITORY / "tests" / "runtime", tmp_path / "tests")
    shutil.copytree(REPOSITORY / "tests" / "conformance", tmp_path / "conformance")
    tested = run(
        inside,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        "tests",
        cwd=tmp_path,
    )
    listed = run(inside, "-m", "pip", "freeze").stdout.split()
    shown = [item for item in listed if item.split("==")[0] in ("numpy", "tokenizers", *OPTIONAL)]
    print(f"Python {version}: {', '.join(shown)}\n{tested.stdout}")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "onnxruntime" in engines, "no ONNX Runtime wheel for this Python: nothing was really run"
