"""Opening a bundle: every check is made before an engine or a tokenizer sees a byte of it.

The order is: format version, paths, kinds of file, sizes, SHA-256. What remains afterwards is what the
producer wrote; whether to trust the producer is the caller's decision. Beside the files of the manifest only
report.json and report.html may lie at the root: plain files of limited size that no engine is given.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import weakref
from pathlib import Path
from types import TracebackType
from typing import Dict, Optional, Type, Union

from .errors import BundleNotFoundError, RuntimeBundleError
from .manifest import Manifest, VariantEntry
from .manifest_reader import MANIFEST_NAME, MAX_FILES, MAX_MANIFEST_BYTES, MAX_REPORT_BYTES, REPORT_NAMES
from .paths import check_distinct

_BLOCK_BYTES = 1 << 20


class Bundle:
    """A verified bundle on disk.

    ``manifest`` is its parsed manifest.json, ``path`` the directory that holds its files, ``digest`` the
    SHA-256 of manifest.json in hexadecimal, which by way of the hashes in it names the whole content but the
    reports.
    """

    def __init__(self, path: Path, manifest: Manifest, digest: str) -> None:
        self.path = path
        self.manifest = manifest
        self.digest = digest
        self._cleanup: Optional[weakref.finalize] = None  # type: ignore[type-arg]

    @classmethod
    def open(cls, path: Union[str, Path]) -> Bundle:
        """Open and verify a bundle directory, or a .zip of one.

        A .zip is unpacked into a temporary directory (of $TMPDIR, where set) that ``close`` or the end of the
        process removes. Raises BundleNotFoundError when there is no bundle at ``path``, RuntimeBundleError
        when there is one that is damaged, altered, unsafe or newer than this runtime.
        """
        location = Path(path)
        try:
            if location.is_dir():
                return _open_directory(location)
            if location.is_file():
                return _open_zip(location)
        except OSError as error:
            raise RuntimeBundleError(f"bundle {location}: can't be read: {error}") from error
        except ValueError as error:  # NUL in a path
            raise BundleNotFoundError(f"bundle {str(path)!r}: not a path: {error}") from error
        raise BundleNotFoundError(f"bundle {location}: nothing is there: expected a bundle directory or a .zip of one")

    def file(self, relative: str) -> Path:
        """Where ``relative``, a path of the manifest, lies on this machine."""
        return self.path.joinpath(*relative.split("/"))

    def variant_path(self, variant: VariantEntry) -> Path:
        """The model file (or .mlpackage directory) of ``variant``."""
        return self.file(variant.path)

    def close(self) -> None:
        """Remove the unpacked copy of a .zip; nothing for a directory. Calling it twice is harmless."""
        if self._cleanup is not None:
            self._cleanup()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()


def scan_files(directory: Path) -> Dict[str, os.stat_result]:
    """Every file under ``directory`` by relative POSIX path; refuses links and other non-files."""
    found: Dict[str, os.stat_result] = {}
    pending = [(directory, "")]
    while pending:
        folder, prefix = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                relative = prefix + entry.name
                # Not entry.stat(): on Windows it leaves the number of links at 0.
                status = os.lstat(entry.path)
                if stat.S_ISDIR(status.st_mode):
                    pending.append((Path(entry.path), relative + "/"))
                    continue
                _check_plain_file(relative, status)
                found[relative] = status
                if len(found) > MAX_FILES:
                    raise RuntimeBundleError(f"bundle {directory}: holds more than {MAX_FILES} files")
    return found


def _check_plain_file(relative: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise RuntimeBundleError(
            f"bundle: {relative!r} is a symbolic link: expected a regular file. Copy the bundle with `cp "
            "-rL` from a place that you trust"
        )
    if not stat.S_ISREG(status.st_mode):
        raise RuntimeBundleError(f"bundle: {relative!r} is a device, pipe or socket: expected a regular file")
    if status.st_nlink > 1:
        raise RuntimeBundleError(
            f"bundle: {relative!r} is a hard link ({status.st_nlink} names share its content, so it can "
            "change from outside the bundle): expected a regular file. Copy the bundle with `cp -r "
            "--no-preserve=links`"
        )


def _open_directory(directory: Path) -> Bundle:
    content = _read_manifest_bytes(directory / MANIFEST_NAME)
    manifest = Manifest.from_json(content)
    _verify_files(directory, manifest)
    return Bundle(directory.absolute(), manifest, hashlib.sha256(content).hexdigest())


def _open_zip(location: Path) -> Bundle:
    from .bundle_zip import extract

    temporary = Path(tempfile.mkdtemp(prefix="edgeformer-bundle-"))
    try:
        extract(location, temporary)
        bundle = _open_directory(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    bundle._cleanup = weakref.finalize(bundle, shutil.rmtree, str(temporary), ignore_errors=True)
    return bundle


def _read_manifest_bytes(path: Path) -> bytes:
    try:
        status = path.lstat()
    except FileNotFoundError:
        raise BundleNotFoundError(
            f"bundle {path.parent}: has no {MANIFEST_NAME}: expected a directory written by `edgeformer "
            "compile`, or a .zip of the files in it"
        ) from None
    _check_plain_file(path.name, status)
    if status.st_size > MAX_MANIFEST_BYTES:
        raise RuntimeBundleError(
            f"bundle {path.parent}: {MANIFEST_NAME} has {status.st_size} bytes: expected at most {MAX_MANIFEST_BYTES}"
        )
    return path.read_bytes()


def _verify_files(directory: Path, manifest: Manifest) -> None:
    listed = {entry.path: entry for entry in manifest.files}
    found = scan_files(directory)
    found.pop(MANIFEST_NAME, None)
    check_distinct(found, f"bundle {directory}")
    missing = sorted(set(listed) - set(found))
    if missing:
        raise RuntimeBundleError(
            f"bundle {directory}: {_some(missing)} is missing: the copy is incomplete, copy the bundle again"
        )
    for name in REPORT_NAMES:
        if name not in listed and name in found and found[name].st_size > MAX_REPORT_BYTES:
            raise RuntimeBundleError(
                f"bundle {directory}: {name!r} has {found[name].st_size} bytes: expected at most "
                f"{MAX_REPORT_BYTES}. The bundle works without it: move it elsewhere"
            )
    unlisted = sorted(set(found) - set(listed) - set(REPORT_NAMES))
    if unlisted:
        raise RuntimeBundleError(
            f"bundle {directory}: {_some(unlisted)} is not in {MANIFEST_NAME}: expected only files of the "
            "bundle. Move it elsewhere"
        )
    for path, entry in listed.items():
        if found[path].st_size != entry.bytes:
            raise RuntimeBundleError(
                f"bundle {directory}: {path!r}: expected {entry.bytes} bytes, got {found[path].st_size}: the "
                "file is damaged or altered, copy the bundle again"
            )
    for path, entry in listed.items():
        digest = file_sha256(directory.joinpath(*path.split("/")))
        if digest != entry.sha256:
            raise RuntimeBundleError(
                f"bundle {directory}: {path!r}: expected SHA-256 {entry.sha256}, got {digest}: the file is "
                "damaged or altered, copy the bundle again"
            )


def _some(paths: list[str]) -> str:
    shown = ", ".join(repr(path) for path in paths[:3])
    return shown + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
