"""An emulated board, ready to run Python programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeformer_runtime.errors import TargetError

from .apt import check_host
from .boards import Board
from .qemu import find_qemu, text, version
from .sysroot import make_sysroot


def default_cache() -> Path:
    """Where QEMU, roots and wheels are kept: $EDGEFORMER_CACHE, else the user's cache directory."""
    base = os.environ.get("EDGEFORMER_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "edgeformer" / "emulation"


@dataclass(frozen=True)
class Machine:
    """A core, a root folder and a Python for it. Paths outside the root are the host's own."""

    board: Board
    qemu: Path
    root: Path
    python: str

    def command(self, arguments: Sequence[str]) -> list[str]:
        """What the host runs for `python ARGUMENTS…` on the board."""
        program = self.root / "usr" / "bin" / f"python{self.python}"
        return [str(self.qemu), "-L", str(self.root), str(program), *arguments]

    def environment(self, paths: Sequence[Path] = (), more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Variables of the emulated program: nothing of the host's Python or threads leaks in."""
        libraries = [path for name in ("blas", "lapack") for path in (self.root / "usr" / "lib").glob(f"*/{name}")]
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "QEMU_CPU": self.board.cpu,
            # Compiling Python's and numpy's sources takes an emulated core longer than all else: once is enough.
            "PYTHONPYCACHEPREFIX": str(self.root.parent / "pycache"),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            # Debian's package scripts would link these; QEMU looks for them under its root.
            **({"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))} if libraries else {}),
            **(more or {}),
        }

    def describe(self) -> str:
        """For reports: "emulated cortex-a72, QEMU 10.0.13, Python 3.11"."""
        return f"emulated {self.board.cpu}, QEMU {text(version(self.qemu))}, Python {self.python}"


def prepare(
    board: Board, *, python: str | None = None, cache: Path | None = None, progress: Callable[[str], None] = print
) -> Machine:
    """Make ``board`` ready: QEMU and a root folder, downloaded once (about half a minute) and kept.

    Raises TargetError for a Python that the board can't have, EngineError when something can't be had.
    """
    chosen = python or board.pythons[0]
    if chosen not in board.pythons:
        raise TargetError(f"emulated://{board.name}: Python {chosen}: expected {' or '.join(board.pythons)}")
    check_host()
    where = cache if cache is not None else default_cache()
    qemu = find_qemu(where, board.architecture, board.cpu, progress)
    return Machine(board, qemu, make_sysroot(where, board, chosen, progress), chosen)
