"""Addresses of devices: local, ssh://[user@]host[:port], adb://serial, emulated://board[?python=3.13]."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgeformer_runtime.errors import InputError

FORMS = "local, ssh://[user@]host[:port], adb://SERIAL or emulated://BOARD"

# A name that starts with "-" would be an option of ssh or adb.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}"
_SSH = re.compile(
    rf"(?:(?P<user>{_NAME})@)?(?:(?P<host>{_NAME})|\[(?P<v6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\])(?::(?P<port>[^:\s]*))?"
)
_SERIAL = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9._:%\[\]-]{0,127}")
_EMULATED = re.compile(rf"(?P<board>{_NAME})(?:\?python=(?P<python>\d+\.\d+))?")


@dataclass(frozen=True)
class Address:
    """Where a device is. ``host`` is a host, a serial number, or the name of a board."""

    scheme: str
    host: str = ""
    user: str | None = None
    port: int | None = None
    python: str | None = None

    def __str__(self) -> str:
        if self.scheme == "local":
            return "local"
        host = f"[{self.host}]" if self.scheme == "ssh" and ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{user}{host}{port}" + (f"?python={self.python}" if self.python else "")


def parse_address(text: str) -> Address:
    """Read an address; raises InputError for anything else, a password in it among them."""
    if text == "local":
        return Address("local")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("ssh", "adb", "emulated"):
        raise InputError(f"--on {text!r}: expected {FORMS}")
    if scheme == "ssh":
        return _ssh(text, rest)
    if scheme == "adb":
        if not _SERIAL.fullmatch(rest):
            raise InputError(f"--on {text!r}: expected adb:// and a serial number, as 'adb devices' lists them")
        return Address("adb", rest)
    found = _EMULATED.fullmatch(rest)
    if found is None:
        raise InputError(f"--on {text!r}: expected emulated://BOARD or emulated://BOARD?python=3.13")
    return Address("emulated", found["board"], python=found["python"])


def _ssh(text: str, rest: str) -> Address:
    if ":" in rest.rpartition("@")[0]:
        raise InputError("--on ssh://…: no password is given here, where others can read it: use a key (ssh-copy-id)")
    found = _SSH.fullmatch(rest)
    if found is None:
        raise InputError(f"--on {text!r}: expected ssh://[user@]host[:port]")
    port = found["port"]
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise InputError(f"--on {text!r}: port {port!r}: expected a number from 1 to 65535")
    return Address("ssh", found["host"] or found["v6"], found["user"], None if port is None else int(port))
