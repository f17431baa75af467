"""One install at a time in a directory; and what an error of the file system means for an install."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator

from ..errors import InstallError

LOCK_NAME = ".lock"

_MEANINGS: Dict[int, str] = {
    errno.ENOSPC: "the disk is full: make room and run the install again, which goes on where it stopped",
    errno.EROFS: "the file system is read-only: mount it for writing, or choose another directory",
    errno.EACCES: "you may not write there: choose another directory, or run as its owner",
    errno.EPERM: "you may not write there: choose another directory, or run as its owner",
    errno.ENOTDIR: "a part of the path is a file: choose another directory",
    errno.EEXIST: "a part of the path is a file: choose another directory",
    errno.EIO: "the disk fails: check it, and choose another one",
}
if hasattr(errno, "EDQUOT"):
    _MEANINGS[errno.EDQUOT] = "your quota of the disk is used up: make room and run the install again"


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the lock of ``root``, which the system releases however this process ends; raises InstallError."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(str(root / LOCK_NAME), flags, 0o644)
    try:
        try:
            _take(handle)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                raise
            raise InstallError(f"{root}: another install runs there: wait until it has ended") from None
        yield
    finally:
        os.close(handle)  # which releases it


def _take(handle: int) -> None:
    if os.name == "nt":
        import msvcrt

        windows: Any = msvcrt
        windows.locking(handle, windows.LK_NBLCK, 1)
        return
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def explained(root: Path) -> Iterator[None]:
    """Turn an OSError into an InstallError that says what to do."""
    try:
        yield
    except OSError as error:
        meaning = _MEANINGS.get(error.errno or 0, "")
        raise InstallError(f"{root}: {meaning or error}" + (f" ({error})" if meaning else "")) from error
