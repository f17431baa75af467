"""A light Debian for another architecture: Python, its libraries, and nothing else (about 60 MB)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .apt import unpack
from .boards import SUITES, Board
from .store import kept, key

_RECIPE = 1  # counts changes of what is made here, so that old folders aren't reused

_LIBRARIES = (
    "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5", "libuuid1",
    "libncursesw6", "libtinfo6", "libsqlite3-0", "libgomp1",
)  # fmt: skip
_BY_SUITE = {
    "bookworm": (
        "libssl3", "libreadline8", "libdb5.3", "libnsl2", "libtirpc3", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3",
        "libcom-err2", "libkrb5support0", "libkeyutils1",
    ),
    "trixie": ("libzstd1", "libssl3t64", "libreadline8t64", "libdb5.3t64"),
}  # fmt: skip
# 32-bit Arm has no numpy wheel on PyPI: Debian's, as `apt install python3-numpy` brings it on the board.
_NUMPY = ("python3-numpy", "libblas3", "liblapack3", "libgfortran5")


def make_sysroot(cache: Path, board: Board, python: str, progress: Callable[[str], None]) -> Path:
    """The root folder with Python ``python`` ("3.11") for a board; raises EngineError. Boards of an architecture share
    one, but for those whose processor must be told there.
    """
    suite, architecture = SUITES[python], board.architecture
    packages = [*_LIBRARIES, *_BY_SUITE[suite], *(f"{name % python}" for name in _PYTHON)]
    if architecture == "armhf":
        packages += _NUMPY

    def make(into: Path) -> None:
        progress(f"download {len(packages)} packages of Debian {suite} for {architecture}")
        unpack(packages, suite=suite, architecture=architecture, into=into)
        _merge_usr(into)
        if board.cpu_flags:
            _write_cpuinfo(into, board)

    parts = [_RECIPE, packages, *([board.cpu, board.cpu_flags] if board.cpu_flags else [])]
    return kept(cache, f"sysroot-{architecture}-{python}-{key(*parts)}", make)


_PYTHON = ("python%s-minimal", "libpython%s-minimal", "libpython%s-stdlib")


def _write_cpuinfo(root: Path, board: Board) -> None:
    """What programs read as /proc/cpuinfo: QEMU makes one of its own for Arm, and passes the host's on for x86."""
    (root / "proc").mkdir(exist_ok=True)
    text = f"processor\t: 0\nmodel name\t: {board.cpu} (QEMU)\nflags\t\t: {board.cpu_flags}\n\n"
    (root / "proc" / "cpuinfo").write_text(text, encoding="utf-8")


def _merge_usr(root: Path) -> None:
    """Let /lib be /usr/lib where packages of the release expect it, as the package base-files does; so for /lib64."""
    for name in ("lib", "lib64"):
        if not (root / name).exists() and (root / "usr" / name).exists():
            (root / name).symlink_to(f"usr/{name}")
