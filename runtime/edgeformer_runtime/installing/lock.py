"""One install at a time in a directory; and what an error of the file system means for an install."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

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


class _Use:
    """A folder that is held; closing lets it go."""

    def __init__(self, handle: Optional[int]) -> None:
        self._handle = handle

    def close(self) -> None:
        """Let it go; calling it twice is harmless."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def in_use(folder: Path) -> _Use:
    """Hold ``folder`` so that no install removes it; raises OSError when it is being removed.

    The system lets it go when the process ends, however it does. Where a file system has no locks, or the folder can't
    be opened (Windows, which doesn't remove open files anyway), nothing is held.
    """
    if os.name == "nt":
        return _Use(None)
    import fcntl

    handle = os.open(str(folder), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise
        return _Use(None)
    return _Use(handle)


def is_used(folder: Path) -> bool:
    """Does any process hold ``folder``?"""
    if os.name == "nt":
        return False
    import fcntl

    try:
        handle = os.open(str(folder), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)
    finally:
        os.close(handle)
    return False


@contextmanager
def explained(root: Path) -> Iterator[None]:
    """Turn an OSError into an InstallError that says what to do."""
    try:
        yield
    except OSError as error:
        meaning = _MEANINGS.get(error.errno or 0, "")
        raise InstallError(f"{root}: {meaning or error}" + (f" ({error})" if meaning else "")) from error
