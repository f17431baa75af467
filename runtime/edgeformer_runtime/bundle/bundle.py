"""Opening a bundle: every check is made before an engine or a tokenizer sees a byte of it.

The order is: format version, paths, signature where a key is given, kinds of file, sizes, SHA-256. What remains
afterwards is what the producer wrote; whether to trust the producer is the caller's decision, or the key's. Beside the
files of the manifest only report.json, report.html and manifest.sig may lie at the root: plain files of limited size
that no engine is given.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import weakref
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Type, Union

from ..errors import BundleNotFoundError, RuntimeBundleError
from ..files.paths import MAX_PATH_PARTS, check_distinct
from ..files.private_copy import PrivateCopies, copy_checked, entries_below
from ..files.safe_files import check_plain_file, copy_hashed, open_plain, read_plain
from ..files.strict_json import MAX_MANIFEST_BYTES
from .manifest import FileEntry, Manifest, VariantEntry
from .manifest_reader import (
    MANIFEST_NAME,
    MAX_FILES,
    MAX_REPORT_BYTES,
    MAX_SIGNATURE_BYTES,
    REPORT_NAMES,
    SIGNATURE_NAME,
)
from .signing import Keys, verify_bundle_signature


class Bundle:
    """A verified bundle on disk.

    ``manifest`` is its parsed manifest.json, ``path`` the directory that holds its files, ``digest`` the
    SHA-256 of manifest.json in hexadecimal, which by way of the hashes in it names the whole content but the
    reports. ``signed_by`` is the id of the key that its signature was checked with, None where no key was given.
    """

    def __init__(self, path: Path, manifest: Manifest, digest: str, signed_by: Optional[str] = None) -> None:
        self.path = path
        self.manifest = manifest
        self.digest = digest
        self.signed_by = signed_by
        self._copies = PrivateCopies(path)
        self._cleanup: Optional[weakref.finalize] = None  # type: ignore[type-arg]

    @classmethod
    def open(cls, path: Union[str, Path], key: Keys = None) -> Bundle:
        """Open and verify a bundle directory, a .zip of one, or the current one of a directory of `install`.

        A .zip is unpacked into a temporary directory (of $TMPDIR, where set) that ``close`` or the end of the
        process removes. ``key`` is the path of a public key (PEM), or several: the bundle must then be signed
        with one of them. Raises BundleNotFoundError when there is no bundle at ``path``, RuntimeBundleError
        when there is one that is damaged, altered, unsafe, newer than this runtime, or not signed as asked.
        """
        location = Path(path)
        try:
            if location.is_dir():
                if not os.path.lexists(str(location / MANIFEST_NAME)):
                    from ..installing.installation import INSTALLED_NAME, open_current

                    if (location / INSTALLED_NAME).exists():
                        return open_current(location, key)
                return open_directory(location, key)
            if location.is_file():
                return _open_zip(location, key)
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

    @contextmanager
    def loadable(self, variant: VariantEntry) -> Iterator[Path]:
        """A path to load ``variant`` from, valid inside the ``with``: a private copy of exactly what was verified.

        Raises RuntimeBundleError when the files have changed since the bundle was opened. See ``private_copy``.
        """
        entries = entries_below(self.manifest.files, variant.path)
        single = len(entries) == 1 and entries[0].path == variant.path
        copy = self._copies.of_file(entries[0]) if single else self._copies.of_folder(entries, variant.path)
        try:
            with copy as path:
                yield path
        except FileNotFoundError as error:
            raise RuntimeBundleError(
                f"bundle {self.path}: {error.filename} is gone since it was opened: open it again"
            ) from error

    def read(self, relative: str) -> bytes:
        """The content of one file of the manifest, hashed as it is read; raises RuntimeBundleError."""
        entry = _entry(self.manifest, relative)
        blocks: List[bytes] = []
        try:
            copy_checked(self.file(relative), entry, lambda block: blocks.append(bytes(block)))
        except OSError as error:
            raise RuntimeBundleError(f"bundle {self.path}: {relative!r} can't be read: {error}") from error
        return b"".join(blocks)

    def on_close(self, release: Callable[[], None]) -> None:
        """Call ``release`` when the bundle is closed or forgotten."""
        self._cleanup = weakref.finalize(self, release)

    def close(self) -> None:
        """Remove private copies and the unpacked copy of a .zip. Calling it twice is harmless."""
        self._copies.close()
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


def _entry(manifest: Manifest, relative: str) -> FileEntry:
    for entry in manifest.files:
        if entry.path == relative:
            return entry
    raise RuntimeBundleError(f"bundle {manifest.name!r}: {relative!r} is not among its files")


def file_sha256(path: Path, seen: Optional[os.stat_result] = None) -> str:
    """SHA-256 of a file's content, in hexadecimal; ``seen`` is its status, taken now where it isn't given."""
    status = seen if seen is not None else path.lstat()
    with open_plain(path, path.name, status) as file:
        try:
            return copy_hashed(file, status.st_size)
        except ValueError as error:
            raise RuntimeBundleError(
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
                        raise RuntimeBundleError(f"bundle {directory}: has folders more than {MAX_PATH_PARTS} deep")
                    pending.append((Path(entry.path), relative + "/", depth + 1))
                else:
                    check_plain_file(relative, status)
                    found[relative] = status
                if len(found) > MAX_FILES or folders > MAX_FILES:
                    raise RuntimeBundleError(f"bundle {directory}: holds more than {MAX_FILES} files or folders")
    return found


def open_directory(directory: Path, key: Keys = None) -> Bundle:
    """Open and verify the bundle in ``directory`` itself; see ``Bundle.open``."""
    content = _read_manifest_bytes(directory / MANIFEST_NAME)
    manifest = Manifest.from_json(content)
    signed_by = verify_bundle_signature(directory, content, key)
    _verify_files(directory, manifest)
    return Bundle(directory.absolute(), manifest, hashlib.sha256(content).hexdigest(), signed_by)


def _open_zip(location: Path, key: Keys) -> Bundle:
    from .zipped import extract

    temporary = Path(tempfile.mkdtemp(prefix="edgeformer-bundle-"))
    try:
        extract(location, temporary)
        bundle = open_directory(temporary, key)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    bundle.on_close(lambda: shutil.rmtree(str(temporary), ignore_errors=True))
    return bundle


def _read_manifest_bytes(path: Path) -> bytes:
    try:
        return read_plain(path, path.name, MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        raise BundleNotFoundError(
            f"bundle {path.parent}: has no {MANIFEST_NAME}: expected a directory written by `edgeformer "
            "compile`, or a .zip of the files in it"
        ) from None


def check_listing(where: str, sizes: Mapping[str, int], manifest: Manifest) -> None:
    """Raise RuntimeBundleError unless ``sizes``, {path: bytes} of what is there, are the manifest's files.

    Beside them manifest.json, its signature and the reports may be there.
    """
    listed = {entry.path: entry for entry in manifest.files}
    present = {path for path in sizes if path != MANIFEST_NAME}
    check_distinct(present, where)
    missing = sorted(set(listed) - present)
    if missing:
        raise RuntimeBundleError(f"{where}: {_some(missing)} is missing: the copy is incomplete, copy the bundle again")
    limits = {**dict.fromkeys(REPORT_NAMES, MAX_REPORT_BYTES), SIGNATURE_NAME: MAX_SIGNATURE_BYTES}
    for name, limit in limits.items():
        if name not in listed and sizes.get(name, 0) > limit:
            raise RuntimeBundleError(
                f"{where}: {name!r} has {sizes[name]} bytes: expected at most "
                f"{limit}. The bundle works without it: move it elsewhere"
            )
    unlisted = sorted(present - set(listed) - set(limits))
    if unlisted:
        raise RuntimeBundleError(
            f"{where}: {_some(unlisted)} is not in {MANIFEST_NAME}: expected only files of the "
            "bundle. Move it elsewhere"
        )
    for path, entry in listed.items():
        if sizes[path] != entry.bytes:
            raise RuntimeBundleError(
                f"{where}: {path!r}: expected {entry.bytes} bytes, got {sizes[path]}: the "
                "file is damaged or altered, copy the bundle again"
            )


def _verify_files(directory: Path, manifest: Manifest) -> None:
    found = scan_files(directory)
    check_listing(f"bundle {directory}", {path: status.st_size for path, status in found.items()}, manifest)
    for entry in manifest.files:
        digest = file_sha256(directory.joinpath(*entry.path.split("/")), found[entry.path])
        if digest != entry.sha256:
            raise RuntimeBundleError(
                f"bundle {directory}: {entry.path!r}: expected SHA-256 {entry.sha256}, got {digest}: the file is "
                "damaged or altered, copy the bundle again"
            )


def _some(paths: List[str]) -> str:
    shown = ", ".join(repr(path) for path in paths[:3])
    return shown + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
