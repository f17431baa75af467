"""Writing a bundle so that its path always holds the old one or the new one, never half of one."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Optional, Set, Tuple, Type, Union

from ..errors import InputError, RuntimeBundleError
from ..files.durable import sync_folder, sync_tree
from ..files.listing import FileEntry, file_sha256, scan_files
from ..files.paths import check_distinct, check_relative_path
from ..files.strict_json import MAX_MANIFEST_BYTES, read_json
from .bundle import Bundle
from .manifest import Manifest
from .manifest_text import manifest_text
from .names import MANIFEST_NAME, REPORT_NAMES, SIGNATURE_NAME


def hash_files(directory: Union[str, Path]) -> Tuple[FileEntry, ...]:
    """Every file under ``directory`` but manifest, signature and reports, by path; refuses links and unsafe names."""
    root = Path(directory)
    found = scan_files(root)
    found.pop(MANIFEST_NAME, None)
    found.pop(SIGNATURE_NAME, None)
    for path in found:
        check_relative_path(path, f"directory {root}")
    check_distinct([*found, MANIFEST_NAME, SIGNATURE_NAME], f"directory {root}")
    return tuple(
        FileEntry(path, found[path].st_size, file_sha256(root.joinpath(*path.split("/"))))
        for path in sorted(set(found) - set(REPORT_NAMES))
    )


def check_output(path: Union[str, Path]) -> None:
    """Raise InputError unless a bundle may be written to ``path``: call it before the work, not after.

    Allowed: a path where nothing is, an empty directory, and a bundle, which will be replaced. Anything else
    is refused, so that no file of yours is deleted.
    """
    output = Path(path)
    if output.is_symlink():
        raise InputError(f"output {output}: is a symbolic link: give the path that it points to")
    if output.is_dir():
        _check_replaceable(output)
    elif output.exists():
        raise InputError(f"output {output}: is a file: expected a directory, or a path where nothing is")
    ancestor = output.absolute().parent
    while not ancestor.exists():
        ancestor = ancestor.parent
    if not ancestor.is_dir() or not os.access(str(ancestor), os.W_OK | os.X_OK):
        raise InputError(f"output {output}: {ancestor} is not a directory that you may write to: choose another path")


class BundleWriter:
    """Stages a bundle beside its final path, then puts it there in one step.

    Use it as a context manager: write the files into ``directory``, then call ``publish``. Leaving the block
    without publishing, by an exception or not, removes the staged files and leaves what was at ``output``
    untouched.
    """

    def __init__(self, output: Union[str, Path]) -> None:
        check_output(output)
        self.output = Path(output).absolute()
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.directory = _sibling(self.output, "new")
        self._published = False

    def publish(self, manifest: Manifest) -> Bundle:
        """Hash the staged files, write manifest.json, verify, sync, and rename to ``output``; returns the
        Bundle.

        ``manifest.files`` is replaced by what is there. Raises RuntimeBundleError when the staged files and
        the manifest don't make a sound bundle, OSError when the disk fails; ``output`` is then as it was.
        """
        if self._published:
            raise InputError(f"output {self.output}: this writer has published its bundle: make a new one")
        manifest = replace(manifest, files=hash_files(self.directory))
        (self.directory / MANIFEST_NAME).write_bytes(manifest_text(manifest).encode("utf-8"))
        staged = Bundle.open(self.directory)  # reads everything back: what can't be opened is never published
        sync_tree(self.directory)
        check_output(self.output)  # again: the work may have taken hours
        _swap(self.directory, self.output)
        self._published = True
        return Bundle(self.output, staged.manifest, staged.digest)

    def discard(self) -> None:
        """Remove the staged files, where they are still there."""
        if not self._published:
            shutil.rmtree(str(self.directory), ignore_errors=True)

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.discard()


def write_bundle(staging: Union[str, Path], manifest: Manifest, output: Union[str, Path]) -> Bundle:
    """Publish a copy of the files in ``staging`` as a bundle at ``output``; see ``BundleWriter``."""
    with BundleWriter(output) as writer:
        for path in scan_files(Path(staging)):
            if path not in (MANIFEST_NAME, SIGNATURE_NAME):  # a signature is of the manifest that it was made for
                target = writer.directory.joinpath(*path.split("/"))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(Path(staging).joinpath(*path.split("/"))), str(target))
        return writer.publish(manifest)


def _check_replaceable(output: Path) -> None:
    if not any(output.iterdir()):
        return
    listed = _listed_paths(output)
    if listed is None:
        raise InputError(
            f"output {output}: is a directory that holds something other than a bundle: choose another path, "
            "or empty it"
        )
    try:
        unlisted = sorted(set(scan_files(output)) - listed - {MANIFEST_NAME, SIGNATURE_NAME, *REPORT_NAMES})
    except RuntimeBundleError as error:
        raise InputError(f"output {output}: would replace more than a bundle: {error}") from error
    if unlisted:
        raise InputError(
            f"output {output}: holds a bundle and {unlisted[0]!r}, which isn't part of it and would be "
            "deleted: move it, or choose another path"
        )


def _listed_paths(directory: Path) -> Optional[Set[str]]:
    """The paths in the manifest of a bundle of any format version; None when it is no bundle."""
    path = directory / MANIFEST_NAME
    try:
        if path.is_symlink() or path.stat().st_size > MAX_MANIFEST_BYTES:
            return None
        value = read_json(path.read_bytes())
    except (OSError, RuntimeBundleError):
        return None
    if not isinstance(value, dict) or not {"format_version", "variants", "files"} <= set(value):
        return None
    files = value["files"]
    if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
        return None
    return {path for path in (entry.get("path") for entry in files) if isinstance(path, str)}


def _sibling(output: Path, purpose: str) -> Path:
    """A new empty directory beside ``output``, on the same file system, so that a rename is enough."""
    directory = Path(tempfile.mkdtemp(prefix=f".{output.name}.{purpose}-", dir=output.parent))
    directory.chmod(0o755)
    return directory


def _swap(staged: Path, output: Path) -> None:
    """Move ``staged`` to ``output``. A crash between the renames leaves the old bundle whole beside it."""
    aside = _sibling(output, "old") / output.name
    replaced = False
    try:
        if output.exists():
            output.rename(aside)
            replaced = True
        staged.rename(output)
    except BaseException:
        if replaced:
            aside.rename(output)
        aside.parent.rmdir()
        raise
    sync_folder(output.parent)
    shutil.rmtree(str(aside.parent), ignore_errors=True)
