"""A bundle in one .zip: unpacked without trust."""

from __future__ import annotations

import shutil
import stat
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List

from ..errors import ArchiveError, EdgeformerError, RuntimeBundleError
from ..files.listing import MAX_FILES
from ..files.paths import check_distinct, check_relative_path
from ..files.zip_layout import check_members, read_layout
from .manifest import MAX_BUNDLE_BYTES

MAX_UNPACKED_BYTES = MAX_BUNDLE_BYTES
MAX_RATIO = 200  # unpacked to packed; weights stay below 20, a bomb is at 1,000
_RATIO_FREE_BYTES = 1 << 20  # small files may be as repetitive as they like
_TOTAL_FREE_BYTES = 32 << 20  # unless there are many
_BLOCK_BYTES = 1 << 20
_IN_ARCHIVE = "bundle .zip: "  # how what is found inside begins, before the file is named


def extract(archive_path: Path, directory: Path) -> None:
    """Unpack ``archive_path`` into the empty ``directory``; raises RuntimeBundleError for what is unsafe."""
    with opened(archive_path, f"can't be unpacked into {directory}") as archive:
        members = checked_members(archive)
        _check_room(members, directory)
        for member in members:
            _extract_member(archive, member, directory)


@contextmanager
def opened(archive_path: Path, problem: str) -> Iterator[zipfile.ZipFile]:
    """An archive to read; whatever is wrong with it becomes RuntimeBundleError, an OSError one with ``problem``."""
    try:
        with archive_path.open("rb") as file:
            layout = read_layout(file, MAX_FILES)
            with zipfile.ZipFile(file) as archive:
                check_members(file, layout, archive.infolist())
                yield archive
    except RuntimeBundleError as error:
        text = str(error)
        if not text.startswith((_IN_ARCHIVE, "not a readable")):
            raise
        raise RuntimeBundleError(
            f"bundle {archive_path}: {text.replace(_IN_ARCHIVE, '', 1)}", code=error.code
        ) from error
    except EdgeformerError:
        raise
    except OSError as error:
        raise ArchiveError(f"bundle {archive_path}: {problem}: {error}") from error
    # A damaged archive raises many kinds of exception: RuntimeError when encrypted, struct.error, zlib.error.
    except Exception as error:
        raise ArchiveError(
            f"bundle {archive_path}: not a readable .zip ({type(error).__name__}: {error}): get the file again"
        ) from error


def checked_members(archive: zipfile.ZipFile) -> List[zipfile.ZipInfo]:
    """The files of the archive, after every check that needs no unpacking."""
    members = archive.infolist()
    for member in members:
        # orig_filename is what the archive says: filename is cut at a NUL, and has the system's separators.
        name = member.orig_filename
        check_relative_path(name[:-1] if member.is_dir() else name, "bundle .zip")
        _check_member(member, name)
    total = sum(member.file_size for member in members)
    if total > MAX_UNPACKED_BYTES:
        raise ArchiveError(f"bundle .zip: unpacks to {total} bytes: expected at most {MAX_UNPACKED_BYTES}")
    packed = sum(member.compress_size for member in members)  # no two share bytes, so the file has as many
    if total > _TOTAL_FREE_BYTES and total > MAX_RATIO * packed:
        raise ArchiveError(
            f"bundle .zip: unpacks from {packed} to {total} bytes, more than {MAX_RATIO} times its size: refused as a "
            "bomb"
        )
    files = [member for member in members if not member.is_dir()]
    check_distinct((member.orig_filename for member in files), "bundle .zip")
    return files


def _check_member(member: zipfile.ZipInfo, name: str) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(f"bundle .zip: {name!r} is a link or a device: expected a regular file")
    if member.is_dir() and member.file_size:
        raise ArchiveError(f"bundle .zip: {name!r} is a folder with {member.file_size} bytes of its own")
    if member.flag_bits & 1:
        raise ArchiveError(f"bundle .zip: {name!r} is encrypted: expected plain members")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"bundle .zip: {name!r} is neither stored nor deflated: pack it again")
    if member.file_size > _RATIO_FREE_BYTES and member.file_size > MAX_RATIO * max(1, member.compress_size):
        raise ArchiveError(
            f"bundle .zip: {name!r} unpacks from {member.compress_size} to {member.file_size} bytes, more "
            f"than {MAX_RATIO} times its size: refused as a bomb"
        )


def _check_room(members: List[zipfile.ZipInfo], directory: Path) -> None:
    total = sum(member.file_size for member in members)
    free = shutil.disk_usage(directory).free
    if total > free:
        raise ArchiveError(
            f"bundle .zip: unpacks to {total} bytes, but {directory} has {free} free: make room, set TMPDIR "
            "to a directory with room, or unpack the .zip yourself and open the directory"
        )


def _extract_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, directory: Path) -> None:
    target = directory.joinpath(*member.orig_filename.split("/"))
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(member) as source, target.open("xb") as file:
        while True:
            block = source.read(_BLOCK_BYTES)
            if not block:
                break
            written += len(block)
            if written > member.file_size:  # the size that every limit was checked with
                raise ArchiveError(f"bundle .zip: {member.orig_filename!r} is longer than the archive says")
            file.write(block)
