"""A device over the system's own ssh: its keys, its agent, its configuration, its known hosts.

Host keys are always checked, whatever the configuration says, and nothing is ever asked: what needs a password or a
"yes" fails with a message that says what to do once by hand.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from .address import Address
from .base import ConnectionLostError, Output, Progress, RemoteError, run_local, shell_command

_FAILED = 255  # ssh's own failures; programs of ours never end with it
_OPTIONS = (
    "BatchMode=yes", "StrictHostKeyChecking=yes", "PasswordAuthentication=no", "KbdInteractiveAuthentication=no",
    "ConnectTimeout=15", "ServerAliveInterval=10", "ServerAliveCountMax=6", "ClearAllForwardings=yes",
    "ForwardAgent=no", "ForwardX11=no", "PermitLocalCommand=no", "RequestTTY=no", "LogLevel=ERROR",
)  # fmt: skip


class Ssh:
    """Runs programs over ssh. ``config`` is a file to read in place of ~/.ssh/config."""

    shares_files = False

    def __init__(self, address: Address, config: Path | None = None) -> None:
        self.address = str(address)
        program = shutil.which("ssh")
        if program is None:
            raise RemoteError(f"{address}: there is no ssh on this machine: install it (Debian: openssh-client)")
        # As known_hosts has it.
        self._name = address.host if address.port in (None, 22) else f"[{address.host}]:{address.port}"
        command = [program, *(["-F", str(config)] if config is not None else [])]
        for option in _OPTIONS:
            command += ["-o", option]
        command += ["-p", str(address.port)] if address.port is not None else []
        command += ["-l", address.user] if address.user is not None else []
        self._command = [*command, "--", address.host]

    def execute(self, command: Sequence[str], *, timeout_s: float, progress: Progress | None = None) -> Output:
        """Run ``command`` there; see ``Remote``."""
        line = [*self._command, shell_command(command)]
        done = run_local(line, timeout_s=timeout_s, what=self.address, environment=_environment(), progress=progress)
        return self._checked(done)

    def send(self, source: Path, target: str, *, timeout_s: float) -> None:
        """Copy one file, through the shell there: not every device has an sftp server."""
        line = [*self._command, shell_command(["sh", "-c", 'cat > "$1"', "sh", target])]
        with source.open("rb") as file:
            done = run_local(line, timeout_s=timeout_s, what=self.address, stdin=file, environment=_environment())
        self._checked(done)
        if done.status != 0:
            hint = ": free some space there" if "No space left" in done.stderr else ""
            raise RemoteError(f"{self.address}: {target} can't be written: {done.last_lines()}{hint}")

    def close(self) -> None:
        """Nothing is held: every step has its own connection."""

    def _checked(self, done: Output) -> Output:
        if done.status != _FAILED:
            return done
        said = f"ssh said: {done.last_lines()}"
        for fragments, reason in (*_REASONS, *(_UNREACHABLE if "connect to host" in done.stderr else ())):
            if any(fragment in done.stderr for fragment in fragments):
                raise RemoteError(f"{self.address}: {reason.format(name=self._known_name(done))}. {said}")
        if any(fragment in done.stderr for fragment in _LOST) or not done.stderr.strip():
            raise ConnectionLostError(
                f"{self.address}: the connection broke. What was copied is kept there: "
                f"the same command goes on from it. {said}"
            )
        raise RemoteError(f"{self.address}: ssh failed. {said}")

    def _known_name(self, done: Output) -> str:
        """The name in known_hosts: ssh tells it with what its configuration says of name and port."""
        found = re.search(r"Host key for ([A-Za-z0-9._:%\[\]-]+) has changed", done.stderr)
        return found[1] if found is not None else self._name


# What OpenSSH prints -> what it means. Its messages aren't translated; those of the C library are, hence LC_ALL.
_REASONS = (
    (("IDENTIFICATION HAS CHANGED",),
     "its host key is not the one that this machine knows: another machine answers, or the device was set up anew. If "
     "you know why, remove the old key with ssh-keygen -R '{name}' and connect once by hand"),
    (("Host key verification failed", "host key is known for"),
     "its host key is unknown here: connect once by hand with ssh, compare the fingerprint, and answer yes"),
    (("Permission denied", "Too many authentication failures", "No supported authentication methods"),
     "it refuses this user's keys, and passwords are not asked for here: set a key up once with ssh-copy-id"),
    (("Could not resolve hostname",), "no machine of this name: check the address, or use its IP address"),
    (("Bad configuration option", "Can't open user config", "Bad owner or permissions"), "its configuration is wrong"),
)  # fmt: skip
_UNREACHABLE = (
    (("Connection refused",), "it is there, but no ssh server answers: start one there (Raspberry Pi: raspi-config)"),
    (("",), "it can't be reached: is it switched on, and in this network?"),
)
_LOST = (
    "Connection closed", "Connection reset", "Broken pipe", "not responding", "closed by remote host", "disconnect",
    "timed out",
)  # fmt: skip


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}
