"""Reading files of a bundle while somebody may be swapping them.

A name is looked at once (``lstat``), opened once, and the opened file is compared with what was looked at: a link,
a pipe or another file that took the name in between is refused, and a pipe never blocks. What is read is bounded by
the size that was looked at.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, Callable, Optional

from ..errors import FilesError, RuntimeBundleError

BLOCK_BYTES = 1 << 20
_FLAGS = os.O_RDONLY
for _name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"):
    _FLAGS |= getattr(os, _name, 0)  # which of them exist depends on the system


def check_plain_file(relative: str, status: os.stat_result) -> None:
    """Raise RuntimeBundleError unless ``status`` is that of a regular file with one name."""
    if stat.S_ISLNK(status.st_mode):
        raise FilesError(
            f"bundle: {relative!r} is a symbolic link: expected a regular file. Copy the bundle with `cp "
            "-rL` from a place that you trust"
        )
    if not stat.S_ISREG(status.st_mode):
        raise FilesError(f"bundle: {relative!r} is a device, pipe or socket: expected a regular file")
    if status.st_nlink > 1:
        raise FilesError(
            f"bundle: {relative!r} is a hard link ({status.st_nlink} names share its content, so it can "
            "change from outside the bundle): expected a regular file. Copy the bundle with `cp -r "
            "--no-preserve=links`"
        )


def open_plain(path: Path, relative: str, seen: Optional[os.stat_result] = None) -> BinaryIO:
    """Open a regular file for reading; ``seen`` is what ``lstat`` said of it before, where it was looked at.

    Raises RuntimeBundleError for a link, a pipe, a device, and for another file than the one that was seen;
    FileNotFoundError where nothing is.
    """
    try:
        handle = os.open(str(path), _FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):  # EMLINK is FreeBSD's word for it
            check_plain_file(relative, path.lstat())
        raise
    try:
        status = os.fstat(handle)
        check_plain_file(relative, status)
        if seen is not None and (status.st_dev, status.st_ino) != (seen.st_dev, seen.st_ino):
            raise changed(relative)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_plain(path: Path, relative: str, max_bytes: int) -> bytes:
    """The content of a regular file of at most ``max_bytes``."""
    with open_plain(path, relative) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise FilesError(
            f"bundle: {relative!r} has more than {max_bytes} bytes: expected at most {max_bytes}. It is damaged or was "
            "made to do harm"
        )
    return content


def copy_hashed(source: BinaryIO, size: int, write: Optional[Callable[[memoryview], object]] = None) -> str:
    """SHA-256 in hexadecimal of ``size`` bytes of ``source``, which ``write`` gets block by block.

    Raises ValueError when there are fewer bytes or more, with the number that was read (at most size + 1).
    """
    digest = hashlib.sha256()
    block = memoryview(bytearray(min(BLOCK_BYTES, size + 1)))
    done = 0
    while done <= size:
        count = source.readinto(block[: min(len(block), size + 1 - done)])  # type: ignore[attr-defined]
        if not count:
            break
        done += count
        if done > size:
            break
        digest.update(block[:count])
        if write is not None:
            write(block[:count])
    if done != size:
        raise ValueError(done)
    return digest.hexdigest()


def changed(relative: str) -> RuntimeBundleError:
    """The error for a file that was swapped, cut or rewritten while it was in use."""
    return FilesError(
        f"bundle: {relative!r} was changed while it was being opened: nothing of it was used. Copy bundles to a new "
        "place instead of over an old one (`edgeformer-run install` does), and open it again"
    )
