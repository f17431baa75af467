"""Where a bundle is installed from: a directory, or a .zip that is read without unpacking it twice."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Callable, ContextManager, Dict, Iterator, Mapping, Optional

from ..errors import BundleNotFoundError, FilesError
from ..files.listing import FileEntry, scan_files
from ..files.safe_files import copy_hashed, open_plain
from ..files.strict_json import MAX_MANIFEST_BYTES
from .listing import check_listing
from .manifest_reader import read_manifest
from .names import MANIFEST_NAME, MAX_SIGNATURE_BYTES, SIGNATURE_NAME
from .zipped import checked_members, opened

Opener = Callable[[str], ContextManager[BinaryIO]]


class BundleSource:
    """A bundle whose manifest and list of files were checked, and whose files are hashed as they are copied."""

    def __init__(self, where: str, sizes: Mapping[str, int], open_file: Opener) -> None:
        if MANIFEST_NAME not in sizes:
            raise BundleNotFoundError(
                f"{where}: has no {MANIFEST_NAME}: expected a directory written by `edgeformer compile`, or a .zip of "
                "the files in it"
            )
        self._open = open_file
        self._sizes = sizes
        self.manifest_bytes = self._read(MANIFEST_NAME, MAX_MANIFEST_BYTES)
        self.manifest = read_manifest(self.manifest_bytes)
        self.digest = hashlib.sha256(self.manifest_bytes).hexdigest()
        self.signature: Optional[bytes] = None
        if SIGNATURE_NAME in sizes:
            self.signature = self._read(SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
        check_listing(where, sizes, self.manifest)

    def copy(self, entry: FileEntry, target: BinaryIO) -> None:
        """Write one file to ``target``; raises RuntimeBundleError where it isn't what the manifest says."""
        with self._open(entry.path) as file:
            try:
                digest = copy_hashed(file, entry.bytes, target.write)
            except ValueError:
                digest = "of another size"
        if digest != entry.sha256:
            raise FilesError(
                f"bundle: {entry.path!r}: expected SHA-256 {entry.sha256}, got {digest}: the file is damaged or "
                "altered, copy the bundle again"
            )

    def _read(self, name: str, max_bytes: int) -> bytes:
        if self._sizes[name] > max_bytes:
            raise FilesError(
                f"bundle: {name!r} has {self._sizes[name]} bytes: expected at most {max_bytes}. It is damaged or was "
                "made to do harm"
            )
        with self._open(name) as file:
            return file.read(max_bytes)


@contextmanager
def open_source(location: Path) -> Iterator[BundleSource]:
    """The bundle at ``location``; raises BundleNotFoundError, RuntimeBundleError."""
    if location.is_dir():
        found = scan_files(location)

        def open_file(relative: str) -> ContextManager[BinaryIO]:
            return open_plain(location.joinpath(*relative.split("/")), relative, found[relative])

        yield BundleSource(f"bundle {location}", {path: item.st_size for path, item in found.items()}, open_file)
    elif location.is_file():
        with opened(location, "can't be read") as archive:
            members = {member.orig_filename: member for member in checked_members(archive)}
            sizes: Dict[str, int] = {name: member.file_size for name, member in members.items()}

            def open_member(relative: str) -> ContextManager[BinaryIO]:
                return archive.open(members[relative])  # type: ignore[return-value]

            yield BundleSource(f"bundle {location}", sizes, open_member)
    else:
        raise BundleNotFoundError(f"bundle {location}: nothing is there: expected a bundle directory or a .zip of one")
