"""The copying of an install: into a folder of its own, file by file, going on where an interrupted copy stopped."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Callable, Dict

from ..bundle.names import MANIFEST_NAME, SIGNATURE_NAME
from ..bundle.source import BundleSource
from ..errors import InstallError, RuntimeBundleError
from ..files.listing import FileEntry, file_sha256, scan_files

_SPARE_BYTES = 1 << 20  # for folders and installed.json

Progress = Callable[[str], None]


@dataclass
class Copied:
    """How much an install copied, and what an interrupted one had copied before."""

    files: int = 0
    bytes: int = 0
    resumed: int = 0


def stage(source: BundleSource, staging: Path, say: Progress) -> Copied:
    """Copy what is missing into ``staging``; a file that is there and has the right hash is kept."""
    present = _usable_part(staging)
    missing = [entry for entry in source.manifest.files if not _is_there(staging, entry, present)]
    copied = Copied(resumed=len(source.manifest.files) - len(missing))
    if copied.resumed:
        say(f"{copied.resumed} of {len(source.manifest.files)} files are there from an install that was interrupted")
    _check_room(staging.parent, sum(entry.bytes for entry in missing))
    keep = {entry.path for entry in source.manifest.files} - {entry.path for entry in missing}
    for relative in set(present) - keep:
        _place(staging, relative).unlink()
    for entry in missing:
        say(f"copying {entry.path} ({entry.bytes} bytes)")
        _copy(source, entry, _place(staging, entry.path))
        copied.files += 1
        copied.bytes += entry.bytes
    for name, content in ((SIGNATURE_NAME, source.signature), (MANIFEST_NAME, source.manifest_bytes)):
        if content is not None:
            _place(staging, name).write_bytes(content)
    return copied


def _usable_part(staging: Path) -> Dict[str, os.stat_result]:
    """The files of an earlier, unfinished copy; what can't be one is removed."""
    if staging.is_symlink() or (staging.exists() and not staging.is_dir()):
        staging.unlink()
    staging.mkdir(exist_ok=True)
    try:
        return scan_files(staging)
    except RuntimeBundleError:
        shutil.rmtree(str(staging))
        staging.mkdir()
        return {}


def _is_there(staging: Path, entry: FileEntry, present: Dict[str, os.stat_result]) -> bool:
    status = present.get(entry.path)
    if status is None or status.st_size != entry.bytes:
        return False
    return file_sha256(_place(staging, entry.path), status) == entry.sha256


def _copy(source: BundleSource, entry: FileEntry, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb", buffering=0) as file:
        source.copy(entry, _Whole(file))  # type: ignore[arg-type]


class _Whole:
    """Writes all that it is given: an unbuffered file may take less."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, block: memoryview) -> int:
        done = 0
        while done < len(block):
            done += self._file.write(block[done:])
        return done


def _place(folder: Path, relative: str) -> Path:
    return folder.joinpath(*relative.split("/"))


def _check_room(root: Path, needed: int) -> None:
    free = shutil.disk_usage(str(root)).free
    if needed + _SPARE_BYTES > free:
        raise InstallError(
            f"{root}: the bundle needs {needed + _SPARE_BYTES} bytes more, and {free} are free: make room and run the "
            "install again. What was installed before still works"
        )
