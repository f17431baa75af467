"""What every way of reaching a device offers, and how what it prints is kept within bounds."""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from edgeformer_runtime.errors import EdgeformerError

MAX_OUTPUT_BYTES = 64 * 2**20  # a report with a million raw latencies has 20 MB
MAX_ERROR_BYTES = 64 * 2**10
MAX_PROGRESS_LINES = 1000
_BLOCK_BYTES = 1 << 16

Progress = Callable[[str], None]


class RemoteError(EdgeformerError):
    """A device can't be reached or used: the message says why, and what to do."""


class ConnectionLostError(RemoteError):
    """The connection broke, or the device doesn't answer any more: what was copied stays there."""


@dataclass(frozen=True)
class Output:
    """What a program on the device left: its exit status, all of its output, the end of its errors."""

    status: int
    stdout: bytes
    stderr: str

    def last_lines(self, count: int = 6) -> str:
        """The end of the error output, fit for a terminal."""
        return "\n".join(printable(self.stderr).strip().splitlines()[-count:])


class Remote(Protocol):
    """One device, reached in one way. Used from one thread."""

    address: str
    shares_files: bool  # its programs see this machine's paths, so nothing is copied

    def execute(self, command: Sequence[str], *, timeout_s: float, progress: Progress | None = None) -> Output:
        """Run ``command`` (a list, no shell syntax) there; raises RemoteError when the device is lost or too slow.

        ``progress`` gets the lines of its error output while it runs, where the way can tell them early.
        """
        ...

    def send(self, source: Path, target: str, *, timeout_s: float) -> None:
        """Copy one file to the absolute path ``target``; raises RemoteError."""
        ...

    def close(self) -> None:
        """Let go of the device; calling it twice is harmless."""
        ...


def printable(text: str) -> str:
    """``text`` without the characters by which a device could write elsewhere on the terminal, with plain line ends."""
    text = re.sub(r"\r+(?=\n|\Z)", "", text)
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)


def shell_command(command: Sequence[str]) -> str:
    """``command`` quoted for a POSIX shell: what ssh and adb hand over is one line for the shell there."""
    return " ".join(shlex.quote(part) for part in command)


def run_local(
    command: Sequence[str],
    *,
    timeout_s: float,
    what: str,
    stdin: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Output:
    """Run a program of this machine with its output bounded in size and time.

    Without ``stdin`` its standard input is a pipe that stays open until it ends, so that the agent behind it learns
    when we are gone. Raises RemoteError, led by ``what``, for a time-out and for too much output.
    """
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE if stdin is None else stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=None if environment is None else dict(environment),
        )  # fmt: skip
    except OSError as error:
        raise RemoteError(f"{what}: {command[0]} can't be started: {error.strerror}") from error
    output = _Collector(process.stdout, MAX_OUTPUT_BYTES, process, keep_end=False)
    errors = _Collector(process.stderr, MAX_ERROR_BYTES, process, keep_end=True, progress=progress)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired as error:
        raise RemoteError(f"{what}: no answer within {timeout_s:.0f} s") from error
    finally:
        process.kill()
        process.wait()
        for collector in (output, errors):
            collector.join()
        if process.stdin is not None:
            process.stdin.close()
    if output.overflowed:
        raise RemoteError(f"{what}: it printed more than {MAX_OUTPUT_BYTES} bytes, so what it says isn't trusted")
    return Output(process.returncode, bytes(output.data), errors.data.decode("utf-8", "replace"))


class _Collector:
    """Reads a pipe in a thread of its own; beyond the limit it ends the program, or keeps the end only."""

    def __init__(
        self,
        pipe: IO[bytes] | None,
        limit: int,
        process: subprocess.Popen[bytes],
        *,
        keep_end: bool,
        progress: Progress | None = None,
    ) -> None:
        self.data = bytearray()
        self.overflowed = False
        self._pipe, self._limit, self._process = pipe, limit, process
        self._keep_end, self._progress = keep_end, progress
        self._line = bytearray()
        self._told = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until the pipe is read to its end, then close it."""
        self._thread.join(10)
        if self._pipe is not None and not self._thread.is_alive():
            self._pipe.close()

    def _read(self) -> None:
        if self._pipe is None:
            return
        while block := self._pipe.read1(_BLOCK_BYTES):  # type: ignore[attr-defined]
            self.data += block
            self._tell(block)
            if len(self.data) > self._limit:
                if not self._keep_end:
                    self.overflowed = True
                    self._process.kill()
                    return
                del self.data[: -self._limit]

    def _tell(self, block: bytes) -> None:
        if self._progress is None:
            return
        *lines, rest = (bytes(self._line) + block).split(b"\n")
        self._line = bytearray(rest[-_BLOCK_BYTES:])
        for line in lines:
            self._told += 1
            if self._told > MAX_PROGRESS_LINES:
                return
            self._progress(printable(line.decode("utf-8", "replace"))[:500])
