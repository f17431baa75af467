"""The part that runs on the device: Python 3.8 or newer, standard library only, sent there as one file.

usage: python agent.py COMMAND JSON        prints one line of JSON, or for `run` what the program prints
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import sysconfig
import tarfile
import threading
from importlib import metadata, util
from pathlib import Path
from typing import IO, Any

LOCKED = 75  # EX_TEMPFAIL of sysexits.h: try again later
KEPT = "kept"  # a file in our folder: a run with --keep was here, so a run without it removes nothing


def facts(folder: str, packages: list[str]) -> dict[str, Any]:
    """What decides which wheels fit, whether they fit on the disk, and which of ``packages`` are there already."""
    name, version = platform.libc_ver()
    return {
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "bits": struct.calcsize("P") * 8,
        "platform": sysconfig.get_platform(),
        "libc": name,
        "libc_version": version,
        "free_bytes": shutil.disk_usage(folder).free,
        "packages": _versions(packages),
        "pip": util.find_spec("pip") is not None,
        "venv": util.find_spec("venv") is not None and util.find_spec("ensurepip") is not None,
    }


def _versions(packages: list[str]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def inventory(folder: str) -> dict[str, str]:
    """Relative path -> SHA-256 of every file below ``folder``; links and other things that aren't ours are named."""
    found = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        paths = [Path(parent, name) for name in files + folders]
        for path in paths:
            if path.is_symlink() or not path.is_dir():
                plain = path.is_file() and not path.is_symlink()
                found[path.relative_to(folder).as_posix()] = _sha256(path) if plain else "not a plain file"
    return found


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def apply(root: str, folder: str, copies: list[list[str]], stale: list[str], archive: str | None) -> dict[str, str]:
    """Make ``folder`` below ``root``: remove what is stale, copy files that are there already, unpack ``archive``.

    Returns the inventory's digest, which the workstation compares with what it sent.
    """
    target = Path(root, folder)
    target.mkdir(parents=True, exist_ok=True)
    for relative in stale:
        (target / relative).unlink()
    for source, relative in copies:
        path = target / relative
        _make_way(path)
        shutil.copyfile(str(Path(root, source)), str(path))
    if archive is not None:
        with tarfile.open(archive) as tar:
            for member in tar:
                _unpack(tar, member, target)
        Path(archive).unlink()
    os.utime(str(target))  # used last: see tidy
    found = inventory(str(target))
    return {"digest": hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()}


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    content = tar.extractfile(member) if member.isreg() else None
    if content is None or member.name.startswith("/") or ".." in member.name.split("/"):
        raise ValueError(f"archive: {member.name!r} isn't a plain file inside its folder")
    path = folder / member.name
    _make_way(path)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file)


def _make_way(path: Path) -> None:
    """Whatever is at ``path`` goes: a link would lead the write elsewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.exists():
        path.unlink()


def keep(folder: str) -> dict[str, bool]:
    """Mark ``folder``, our own, as one that stays."""
    Path(folder, KEPT).touch()
    return {"kept": True}


def remove(folder: str) -> dict[str, bool]:
    """Remove ``folder``, our own, unless somebody measures in it or it is marked as one that stays."""
    with Path(folder, "lock").open("w") as file:
        if not _lock(file):
            return {"removed": False}
        if Path(folder, KEPT).exists():
            return {"removed": False, "kept": True}
        shutil.rmtree(folder)
    return {"removed": True}


def tidy(folder: str, at_most: int) -> dict[str, list[str]]:
    """Of the bundles in ``folder``, our own, keep the ``at_most`` used last; none goes while somebody measures."""
    with Path(folder, "lock").open("w") as file:
        if not _lock(file):
            return {"removed": []}
        bundles = sorted(Path(folder).glob("bundle-*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in bundles[at_most:]:
            shutil.rmtree(path)
    return {"removed": [path.name for path in bundles[at_most:]]}


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def run(lock: str, command: list[str], environment: dict[str, str]) -> int:
    """Run ``command`` while nobody else measures here, and end it when the workstation is gone.

    The workstation holds this program's standard input open: its end means that the connection broke.
    """
    with Path(lock).open("w") as file:
        if not _lock(file):
            sys.stderr.write("another benchmark is running on this device\n")
            return LOCKED
        program = [sys.executable if part == "{python}" else part for part in command]
        child = subprocess.Popen(program, env={**os.environ, **environment}, stdin=subprocess.DEVNULL)
        threading.Thread(target=_end_with_input, args=(child,), daemon=True).start()
        status = child.wait()
        return status if status >= 0 else 128 - status


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    child.kill()


def main() -> int:
    """Do one command; its result is one line of JSON on standard output."""
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    if name == "run":
        return run(**arguments)
    commands: dict[str, Any] = {
        "facts": facts, "inventory": inventory, "apply": apply, "keep": keep, "remove": remove, "tidy": tidy,
    }  # fmt: skip
    print(json.dumps(commands[name](**arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
