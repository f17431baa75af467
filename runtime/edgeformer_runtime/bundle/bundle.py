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
import tempfile
import weakref
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Callable, Iterator, List, Optional, Type, Union

from ..errors import BundleNotFoundError, EdgeformerError, FilesError, RuntimeBundleError
from ..files.folder_use import hold
from ..files.json_fields import UnknownPartError
from ..files.listing import FileEntry, file_sha256, scan_files
from ..files.private_copy import PrivateCopies, copy_checked, entries_below
from ..files.safe_files import read_plain
from ..files.strict_json import MAX_MANIFEST_BYTES
from .installed_state import INSTALLED_NAME, InstalledBundle, installed_state
from .listing import check_listing
from .manifest import Manifest
from .manifest_reader import read_manifest
from .names import MANIFEST_NAME
from .signing import Keys, verify_bundle_signature
from .zipped import extract


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
                if not os.path.lexists(str(location / MANIFEST_NAME)) and (location / INSTALLED_NAME).exists():
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

    @contextmanager
    def loadable(self, relative: str) -> Iterator[Path]:
        """A path to load a model file, or .mlpackage directory, from, valid inside the ``with``: a private copy of
        exactly what was verified.

        Raises RuntimeBundleError when the files have changed since the bundle was opened. See ``private_copy``.
        """
        entries = entries_below(self.manifest.files, relative)
        single = len(entries) == 1 and entries[0].path == relative
        copy = self._copies.of_file(entries[0]) if single else self._copies.of_folder(entries, relative)
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


def open_directory(directory: Path, key: Keys = None) -> Bundle:
    """Open and verify the bundle in ``directory`` itself; see ``Bundle.open``."""
    content = _read_manifest_bytes(directory / MANIFEST_NAME)
    manifest = read_manifest(content)
    signed_by = verify_bundle_signature(directory, content, key)
    _verify_files(directory, manifest)
    return Bundle(directory.absolute(), manifest, hashlib.sha256(content).hexdigest(), signed_by)


def _open_zip(location: Path, key: Keys) -> Bundle:
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


def _verify_files(directory: Path, manifest: Manifest) -> None:
    found = scan_files(directory)
    check_listing(f"bundle {directory}", {path: status.st_size for path, status in found.items()}, manifest)
    for entry in manifest.files:
        digest = file_sha256(directory.joinpath(*entry.path.split("/")), found[entry.path])
        if digest != entry.sha256:
            raise FilesError(
                f"bundle {directory}: {entry.path!r}: expected SHA-256 {entry.sha256}, got {digest}: the file is "
                "damaged or altered, copy the bundle again"
            )


def open_current(directory: Path, key: Keys = None) -> Bundle:
    """Open and verify the current bundle of ``directory``."""
    root = directory.absolute()
    state = installed_state(root)
    while True:
        try:
            return _open_hold(root, state.current, key)
        except (EdgeformerError, OSError):
            # An install may have replaced and removed it meanwhile. Each turn needs a new one, so this ends.
            latest = installed_state(root)
            if latest.current == state.current:
                raise
            state = latest


def _open_hold(root: Path, bundle: InstalledBundle, key: Keys) -> Bundle:
    """Open a bundle and hold its directory until it is closed, so that no install removes it meanwhile."""
    use = hold(root / bundle.directory)
    try:
        opened = open_installed(root, bundle, key)
    except BaseException:
        use.close()
        raise
    opened.on_close(use.close)
    return opened


def open_installed(root: Path, bundle: InstalledBundle, key: Keys) -> Bundle:
    """Open and verify one of the bundles of ``root``; an error says how to get a whole one back."""
    try:
        opened = open_directory(root / bundle.directory, key)
    except RuntimeBundleError as error:
        kind = RuntimeBundleError if isinstance(error, UnknownPartError) else type(error)
        raise kind(
            f"{error}. It is installed in {root}: install it again, or go back with `edgeformer-run rollback {root}`",
            code=error.code,
        ) from error
    if opened.digest != bundle.digest:
        raise RuntimeBundleError(
            f"bundle {opened.path}: expected the digest {bundle.digest}, got {opened.digest}: its manifest was changed "
            f"after it was installed. Install it again, or go back with `edgeformer-run rollback {root}`"
        )
    return opened
