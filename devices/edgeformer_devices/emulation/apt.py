"""Debian packages of any release and architecture, unpacked into a folder: no root, no chroot, no change to the host.

apt runs with directories, sources and keys of its own; its signatures are checked as ever.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgeformer_runtime.errors import EngineError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "EDGEFORMER_DEBIAN_MIRROR"
_TIMEOUT_S = 900

_CONFIGURATION = """\
Dir::State "{apt}";
Dir::State::status "{apt}/status";
Dir::State::lists "{apt}/lists";
Dir::Cache "{apt}";
Dir::Cache::archives "{apt}/archives";
Dir::Etc::sourcelist "{apt}/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Architecture "{architecture}";
APT::Architectures {{"{architecture}";}};
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "true";
"""


def check_host() -> None:
    """Raise EngineError, saying what to install, where packages can't be had or programs can't be emulated."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise EngineError(
            f"emulation: runs on x86-64 Linux, this is {platform.system()} on {platform.machine()}: use a board over "
            "ssh://, or such a machine"
        )
    missing = [program for program in ("apt-get", "dpkg") if shutil.which(program) is None]
    if missing:
        raise EngineError(f"emulation: needs {' and '.join(missing)}, which Debian and Ubuntu have: use one of them")
    if not KEYRING.is_file():
        raise EngineError(
            f"emulation: {KEYRING} is missing, so Debian's signatures can't be checked: "
            "run 'sudo apt-get install debian-archive-keyring'"
        )


def unpack(
    packages: Sequence[str], *, suite: str, architecture: str, into: Path, with_dependencies: bool = False
) -> None:
    """Download ``packages`` of a Debian release and unpack them into the folder ``into``.

    What they depend on comes along only ``with_dependencies``: then the folder is one that can be chrooted into. Raises
    EngineError with apt's own words when a package can't be had.
    """
    check_host()
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="edgeformer-apt-") as folder:
        apt = Path(folder)
        environment = _private_apt(apt, suite, architecture)
        _run(["apt-get", "-qq", "update"], apt, environment)
        archives = apt / "archives"
        download = ["install", "--yes", "--download-only"] if with_dependencies else ["download"]
        _run(["apt-get", "-qq", *download, *packages], archives, environment)
        for package in sorted(archives.glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(into)], archives, environment)


def _private_apt(apt: Path, suite: str, architecture: str) -> dict[str, str]:
    for name in ("lists/partial", "archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    source = f"deb [arch={architecture} signed-by={KEYRING}] {mirror()} {suite} main\n"
    (apt / "sources.list").write_text(source)
    (apt / "apt.conf").write_text(_CONFIGURATION.format(apt=apt, architecture=architecture))
    return {**os.environ, "APT_CONFIG": str(apt / "apt.conf"), "LC_ALL": "C"}


def mirror() -> str:
    """Where Debian is downloaded from: $EDGEFORMER_DEBIAN_MIRROR, or a Debian host's own mirror; else EngineError."""
    chosen = os.environ.get(MIRROR_VARIABLE)
    if chosen:
        return chosen
    file = Path("/etc/apt/sources.list.d/debian.sources")  # what Debian itself writes since bookworm
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    for line in lines:
        if line.startswith("URIs:") and line.split()[1:2]:
            return line.split()[1]
    raise EngineError(
        f"emulation: {file} names no mirror, as on a host that isn't Debian 12 or newer: set {MIRROR_VARIABLE} to the "
        "address of a Debian mirror"
    )


def _run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"emulation: {' '.join(command[:3])} took more than {_TIMEOUT_S} s: is {mirror()} slow?"
        ) from error
    if done.returncode:
        tail = "\n".join((done.stderr + done.stdout).strip().splitlines()[-8:])
        network = f" Is the network up, and is {mirror()} the right mirror (${MIRROR_VARIABLE})?"
        hint = network if command[0] == "apt-get" else ""
        raise EngineError(f"emulation: '{' '.join(command[:3])} …' failed.{hint} It said:\n{tail}")
