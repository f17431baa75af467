"""What a device says it is, before anything is installed on it; and the agent that says it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeformer_runtime.engines import ENGINES

from .base import Output, Progress, Remote, RemoteError

AGENT = Path(__file__).parent / "agent.py"
MIN_PYTHON = (3, 8)
# asked for by the names of their distributions: what the runtime needs, and every engine
PACKAGES = ("numpy", "tokenizers", *(name for facts in ENGINES.values() for name in facts.distributions))
ARCHITECTURES = ("x86_64", "aarch64", "armv7l")
_SHORT_S = 120.0
_MAX_ANSWER_BYTES = 16 * 2**20

# Where to work, and with which Python: the first folder that is ours to write, the first Python that is new enough.
# In places that users share, a folder that somebody else made, or a link, is passed over.
_PROBE = """
umask 077
id=$(id -u)
for folder in "$HOME/.cache/edgeformer/bench" /data/local/tmp/edgeformer-bench "/var/tmp/edgeformer-bench-$id" \\
    "/tmp/edgeformer-bench-$id"; do
  if mkdir -p "$folder" 2>/dev/null && [ ! -L "$folder" ] && [ -O "$folder" ] && chmod 700 "$folder"; then break; fi
  folder=
done
echo "folder=$folder"
echo "machine=$(uname -m)"
for name in python3 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8; do
  if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
    echo "python=$(command -v "$name")"; exit 0
  fi
done
echo "old=$(python3 --version 2>/dev/null)"
"""


@dataclass(frozen=True)
class Facts:
    """What decides which wheels fit on a device. ``machine`` is that of its Python, which may have 32 bits under a
    64-bit kernel; ``packages`` are those that its Python has already.
    """

    machine: str
    python: str  # "3.11.2"
    libc: str  # "glibc", else ""
    libc_version: str
    free_bytes: int
    packages: Mapping[str, str] = field(default_factory=dict)
    pip: bool = False
    venv: bool = False

    @property
    def python_minor(self) -> str:
        """3.11"""
        return ".".join(self.python.split(".")[:2])

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any], where: str) -> Facts:
        """Check what the agent answered; raises RemoteError for a device that can't be used."""
        try:
            machine = str(answer["machine"])
            if answer["bits"] == 32 and machine in ("aarch64", "armv8l"):
                machine = "armv7l"
            facts = cls(
                machine, str(answer["python"]), str(answer["libc"]), str(answer["libc_version"]),
                int(answer["free_bytes"]), {str(k): str(v) for k, v in answer["packages"].items()},
                bool(answer["pip"]), bool(answer["venv"]),
            )  # fmt: skip
            implementation, system = answer["implementation"], answer["system"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RemoteError(f"{where}: its agent gave an answer of another form: {error!r}") from error
        if implementation != "CPython" or not re.fullmatch(r"\d+\.\d+\.\d+", facts.python):
            raise RemoteError(
                f"{where}: its Python is {implementation!r} {facts.python!r}: engines exist for CPython only"
            )
        if system not in ("Linux", "Android"):
            raise RemoteError(f"{where}: runs {system!r}: expected Linux")
        if facts.libc == "glibc" and not re.fullmatch(r"2\.\d{1,3}(\.\d+)?", facts.libc_version):
            raise RemoteError(f"{where}: its glibc is {facts.libc_version[:40]!r}: expected a version like 2.36")
        _check_machine(facts.machine, where)
        return facts


def _check_machine(machine: str, where: str) -> None:
    if machine not in ARCHITECTURES:
        raise RemoteError(f"{where}: its processor is {machine[:40]!r}: engines exist for {', '.join(ARCHITECTURES)}")


@dataclass(frozen=True)
class Place:
    """A folder of ours on a device, and the Python there."""

    remote: Remote
    folder: str
    python: str

    def path(self, name: str) -> str:
        """The absolute path of ``name`` in our folder."""
        return f"{self.folder}/{name}"

    def ask(self, command: str, *, timeout_s: float = _SHORT_S, **arguments: Any) -> Any:
        """One command of the agent; returns what it prints as JSON. Raises RemoteError."""
        done = self.remote.execute(self._line(command, arguments), timeout_s=timeout_s)
        where = self.remote.address
        if done.status != 0:
            raise RemoteError(f"{where}: {command} failed{_hint(done)}: {done.last_lines(3)}")
        return read_json(done.stdout, where, limit=_MAX_ANSWER_BYTES)

    def run(self, command: Sequence[str], environment: Mapping[str, str], *, timeout_s: float,
            progress: Progress | None) -> Output:  # fmt: skip
        """A program that must be alone, and that ends when the connection does; "{python}" in it is the device's."""
        arguments = {"lock": self.path("lock"), "command": list(command), "environment": dict(environment)}
        return self.remote.execute(self._line("run", arguments), timeout_s=timeout_s, progress=progress)

    def _line(self, command: str, arguments: Mapping[str, Any]) -> list[str]:
        return [self.python, self.path("agent.py"), command, json.dumps(arguments)]


def _hint(done: Output) -> str:
    return " (its disk is full: free some space there)" if "No space left" in done.stderr else ""


def settle(remote: Remote) -> tuple[Place, Facts]:
    """Find a folder and a Python, put the agent there and ask it; raises RemoteError where that can't be."""
    done = remote.execute(["sh", "-c", _PROBE], timeout_s=_SHORT_S)
    where = remote.address
    found = dict(re.findall(r"(?m)^(folder|machine|python|old)=(.*)$", done.stdout.decode("utf-8", "replace")))
    if done.status != 0 or "machine" not in found:
        raise RemoteError(f"{where}: no shell answers as expected (exit status {done.status}): {done.last_lines(3)}")
    _check_machine("aarch64" if found["machine"].strip() == "armv8l" else found["machine"].strip(), where)
    if not found["folder"].startswith("/"):
        raise RemoteError(f"{where}: no folder can be written: expected ~/.cache, /data/local/tmp, /var/tmp or /tmp")
    if "python" not in found:
        old = f"only {found['old']}" if found.get("old", "").strip() else "no python3"
        raise RemoteError(
            f"{where}: {old}: expected Python {'.'.join(map(str, MIN_PYTHON))} or newer. Debian and its kin: 'sudo apt "
            "install python3'. A stock Android phone has none that engines' wheels fit"
        )
    place = Place(remote, found["folder"].strip(), found["python"].strip())
    remote.send(AGENT, place.path("agent.py"), timeout_s=_SHORT_S)
    return place, Facts.from_answer(place.ask("facts", folder=place.folder, packages=PACKAGES), where)


def read_json(data: bytes, where: str, *, limit: int) -> Any:
    """JSON that a device printed: limited in size, parsed, never run. Raises RemoteError."""
    if len(data) > limit:
        raise RemoteError(f"{where}: answered {len(data)} bytes: expected at most {limit}")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RemoteError(f"{where}: answered something that isn't JSON: {error}") from error
