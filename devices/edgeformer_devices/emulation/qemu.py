"""A qemu-user that knows the core: the host's own where it is new enough, else one of a later Debian release."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from edgeformer_runtime.errors import EngineError

from .apt import unpack
from .store import kept, key

# Bookworm's 7.2 crashes in ONNX Runtime 1.31.1, trixie's 10.0 doesn't; what lies between was not tried.
MIN_VERSION = (10, 0)
SUITES = ("trixie", "sid")  # the first whose qemu knows the core: only sid's knows cortex-a78ae
PROGRAMS = {"arm64": "qemu-aarch64", "armhf": "qemu-arm", "amd64": "qemu-x86_64"}


def find_qemu(cache: Path, architecture: str, cpu: str, progress: Callable[[str], None]) -> Path:
    """A program that emulates ``cpu``; downloads one where the host has none. Raises EngineError."""
    program = PROGRAMS[architecture]
    seen: list[str] = []
    for name in (program, f"{program}-static"):
        found = shutil.which(name)
        if found is not None and version(Path(found)) >= MIN_VERSION:
            if cpu in cpus(Path(found)):
                return Path(found)
            seen.append(f"{found} {text(version(Path(found)))}")
    for suite in SUITES:
        name = f"qemu-{suite}-{key(*PROGRAMS.values())}"
        folder = kept(cache, name, lambda into, suite=suite: _unpack(suite, into, progress))  # type: ignore[misc]
        found_here = folder / "usr" / "bin" / program
        if cpu in cpus(found_here):
            return found_here
        seen.append(f"Debian {suite}'s {text(version(found_here))}")
    raise EngineError(f"emulation: no QEMU knows the core {cpu}: asked {', '.join(seen)}. A later release may")


def _unpack(suite: str, into: Path, progress: Callable[[str], None]) -> None:
    progress(f"download QEMU of Debian {suite}")
    unpack(["qemu-user"], suite=suite, architecture="amd64", into=into)
    for file in (into / "usr" / "bin").iterdir():  # 30 architectures, 300 MB
        if file.name not in PROGRAMS.values():
            file.unlink()


def version(program: Path) -> tuple[int, ...]:
    """The version that the program tells, (0,) where it tells none."""
    found = re.search(r"version (\d+(?:\.\d+)+)", _output(program, "--version"))
    return tuple(int(part) for part in found[1].split(".")) if found else (0,)


def text(number: tuple[int, ...]) -> str:
    """10.0.13"""
    return ".".join(map(str, number))


def cpus(program: Path) -> frozenset[str]:
    """The cores that the program knows."""
    return frozenset(line.split()[0] for line in _output(program, "-cpu", "help").splitlines() if line.startswith(" "))


def _output(program: Path, *arguments: str) -> str:
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"emulation: {program} doesn't run: {error}") from error
    return done.stdout
