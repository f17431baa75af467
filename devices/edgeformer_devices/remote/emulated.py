"""A board that is emulated here, as a device. Programs run for real, on Arm instructions; times mean nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..emulation import Machine
from .base import Output, Progress, run_local

PYTHON = "python3"  # as the first word of a command: the board's


class Emulated:
    """Runs the board's Python. Paths are this machine's, so nothing is copied."""

    shares_files = True

    def __init__(self, address: str, machine: Machine) -> None:
        self.address = address
        self.machine = machine

    def execute(
        self,
        command: Sequence[str],
        *,
        timeout_s: float,
        progress: Progress | None = None,
        paths: Sequence[Path] = (),
        variables: Mapping[str, str] | None = None,
    ) -> Output:
        """Run ``command``, which starts with ``python3``, on the emulated core; see ``Remote``.

        ``paths`` go to PYTHONPATH, ``variables`` to its environment.
        """
        if command[0] != PYTHON:
            raise ValueError(f"an emulated board runs {PYTHON}, not {command[0]}")
        environment = self.machine.environment(paths, variables)
        line = self.machine.command(command[1:])
        return run_local(line, timeout_s=timeout_s, what=self.address, environment=environment, progress=progress)

    def send(self, source: Path, target: str, *, timeout_s: float) -> None:
        """Never needed: the board sees this machine's files."""
        raise ValueError("an emulated board sees this machine's files")

    def close(self) -> None:
        """Nothing is held."""
