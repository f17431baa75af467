"""What lies in a folder: its files, their sizes and hashes; links and whatever isn't a file are refused."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional

from ..errors import FilesError
from .paths import MAX_PATH_PARTS
from .safe_files import check_plain_file, copy_hashed, open_plain

MAX_FILES = 10_000


@dataclass(frozen=True)
class FileEntry:
    """One file of the bundle: a relative POSIX path, its size and hash."""

    path: str
    bytes: int
    sha256: str


def file_sha256(path: Path, seen: Optional[os.stat_result] = None) -> str:
    """SHA-256 of a file's content, in hexadecimal; ``seen`` is its status, taken now where it isn't given."""
    status = seen if seen is not None else path.lstat()
    with open_plain(path, path.name, status) as file:
        try:
            return copy_hashed(file, status.st_size)
        except ValueError as error:
            raise FilesError(
                f"bundle: {str(path)!r} had {status.st_size} bytes, and {error} when it was read: it is being changed"
            ) from None


def scan_files(directory: Path) -> Dict[str, os.stat_result]:
    """Every file under ``directory`` by relative POSIX path; refuses links and other non-files."""
    found: Dict[str, os.stat_result] = {}
    folders = 0
    pending = [(directory, "", 1)]
    while pending:
        folder, prefix, depth = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                relative = prefix + entry.name
                # Not entry.stat(): on Windows it leaves the number of links at 0.
                status = os.lstat(entry.path)
                if stat.S_ISDIR(status.st_mode):
                    folders += 1
                    if depth >= MAX_PATH_PARTS:
                        raise FilesError(f"bundle {directory}: has folders more than {MAX_PATH_PARTS} deep")
                    pending.append((Path(entry.path), relative + "/", depth + 1))
                else:
                    check_plain_file(relative, status)
                    found[relative] = status
                if len(found) > MAX_FILES or folders > MAX_FILES:
                    raise FilesError(f"bundle {directory}: holds more than {MAX_FILES} files or folders")
    return found
