"""The kernel library, built once into build/kernels and reused while its sources stay the same."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "runtime" / "kernels"


def cmake_build(build, *settings):
    """Configure and build; the compiler's own message on failure. Two workers of a test run wait for each other."""
    build.mkdir(parents=True, exist_ok=True)
    with (build / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["cmake", "-S", SOURCE, "-B", build, *settings], ["cmake", "--build", build]):
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def build_kernels():
    """build_kernels(folder, *settings) -> folder with what cmake made there; skipped without a compiler."""
    if shutil.which("cmake") is None:
        pytest.skip("the kernels are built with cmake, which is not on the PATH")
    if shutil.which("c++") is None:
        pytest.skip("the kernels are built with a C++ compiler, and there is no c++ on the PATH")

    def build(folder, *settings):
        cmake_build(ROOT / "build" / folder, *settings)
        return ROOT / "build" / folder

    return build


@pytest.fixture(scope="session")
def package(build_kernels):
    """A folder that holds the importable package ``edgeformer_kernels``, as the wheel has it."""
    build = build_kernels("kernels")
    folder = build / "package"
    (folder / "edgeformer_kernels").mkdir(parents=True, exist_ok=True)
    for file in (SOURCE / "edgeformer_kernels" / "__init__.py", build / "libedgeformer_kernels.so"):
        target = folder / "edgeformer_kernels" / file.name
        if not target.exists() or target.stat().st_mtime < file.stat().st_mtime:
            staged = target.with_suffix(".new")
            shutil.copy2(file, staged)
            staged.replace(target)  # a library in use keeps its old file
    return folder


@pytest.fixture(scope="session")
def library(package):
    """Path of the library; skipped where this CPU isn't covered."""
    command = "import edgeformer_kernels as k; print(k.isa() or '')"
    done = subprocess.run(
        [sys.executable, "-c", command], env={"PYTHONPATH": str(package)}, capture_output=True, text=True, check=True
    )
    if not done.stdout.strip():
        pytest.skip("the kernels don't cover this CPU")
    return package / "edgeformer_kernels" / "libedgeformer_kernels.so"
