"""A Linux or Android device over adb, through the system's own client.

`exec-out` is used for every command: it is in every adb since 2015, and leaves bytes as they are. It has neither an
exit status nor a separate error output, so the shell there adds both behind a mark.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from .address import Address
from .base import MAX_ERROR_BYTES, ConnectionLostError, Output, Progress, RemoteError, run_local, shell_command

_FOLDER = "/data/local/tmp"  # what adb's user may write on Android; elsewhere /tmp


class Adb:
    """Runs programs over adb on the device with the address's serial number."""

    shares_files = False

    def __init__(self, address: Address) -> None:
        self.address = str(address)
        program = shutil.which("adb")
        if program is None:
            raise RemoteError(f"{address}: there is no adb on this machine: install it (Debian: adb)")
        self._command = [program, "-s", address.host]

    def execute(self, command: Sequence[str], *, timeout_s: float, progress: Progress | None = None) -> Output:
        """Run ``command`` there; see ``Remote``. Lines of progress come at the end, in one go."""
        mark = secrets.token_hex(16)
        script = (
            f'd={_FOLDER}; [ -d "$d" ] || d=/tmp; e="$d/edgeformer-{mark}"; ( {shell_command(command)} ) 2>"$e"; s=$?; '
            f'printf \'\\n{mark} %d\\n\' $s; tail -c {MAX_ERROR_BYTES} "$e"; rm -f "$e"'
        )
        done = run_local([*self._command, "exec-out", script], timeout_s=timeout_s, what=self.address)
        output, found, rest = done.stdout.rpartition(f"\n{mark} ".encode())
        status, _, errors = rest.partition(b"\n")
        if not found or not re.fullmatch(rb"\d{1,3}", status.strip()):
            raise self._lost(done)
        return Output(int(status), output, errors.decode("utf-8", "replace"))

    def send(self, source: Path, target: str, *, timeout_s: float) -> None:
        """Copy one file."""
        done = run_local([*self._command, "push", str(source), target], timeout_s=timeout_s, what=self.address)
        if done.status != 0:
            said = done.stderr + done.stdout.decode("utf-8", "replace")
            if "No space left" in said:
                raise RemoteError(f"{self.address}: {target} can't be written: its disk is full: free some space there")
            raise self._lost(done)

    def close(self) -> None:
        """Nothing is held: adb's server keeps the connection."""

    def _lost(self, done: Output) -> RemoteError:
        said = done.stderr + "\n" + done.stdout[-2000:].decode("utf-8", "replace")
        for fragment, reason in _REASONS:
            if fragment in said:
                return RemoteError(f"{self.address}: {reason}. adb said: {Output(1, b'', said).last_lines(3)}")
        return ConnectionLostError(
            f"{self.address}: the connection broke. What was copied is kept there: the same command goes on from it. "
            f"adb said: {Output(1, b'', said).last_lines(3) or 'nothing'}"
        )


_REASONS = (
    ("unauthorized", "it doesn't trust this machine yet: unlock it and allow USB debugging when it asks"),
    ("offline", "it is offline: unplug it and plug it in again, or 'adb reconnect'"),
    ("not found", "no such device: 'adb devices' lists those that are there"),
    (
        "no permissions",
        "this user may not use the USB device: install the udev rules (Debian: android-sdk-platform-tools-common)",
    ),
    ("cannot connect to daemon", "adb's server doesn't start: run 'adb start-server' and look at what it says"),
)
