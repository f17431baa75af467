"""A folder that is in use isn't removed: whoever reads from it holds a lock of the system on it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Optional


class Use:
    """A folder that is held; closing lets it go."""

    def __init__(self, handle: Optional[int]) -> None:
        self._handle = handle

    def close(self) -> None:
        """Let it go; calling it twice is harmless."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def hold(folder: Path) -> Use:
    """Hold ``folder`` so that no install removes it; raises OSError when it is being removed.

    The system lets it go when the process ends, however it does. Where a file system has no locks, or the folder can't
    be opened (Windows, which doesn't remove open files anyway), nothing is held.
    """
    if os.name == "nt":
        return Use(None)
    import fcntl

    handle = os.open(str(folder), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise
        return Use(None)
    return Use(handle)


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
