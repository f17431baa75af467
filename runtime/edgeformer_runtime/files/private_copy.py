"""What an engine loads is what was hashed: a copy that nobody else can reach, hashed while it is made.

Engines open files by name and some of them map a file and read it for as long as the session lives. A path inside the
bundle would let whoever can write there (an update, another program) change the model under the engine, after the
check. On Linux the copy is a sealed file in memory, which nothing can write to any more; elsewhere it is a file in a
directory of this user alone. It costs one reading of the model file and, while the engine needs the file, its size in
memory. Not covered: a process of the same user that writes into this one (ptrace, /proc/PID/mem), or, where there are
no sealed files, into its temporary directory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

from ..errors import EngineError
from .listing import FileEntry
from .safe_files import changed, copy_hashed, open_plain

_ALLOW_SEALING, _CLOSE_ON_EXEC = 2, 1
_ADD_SEALS = 1033
_ALL_SEALS = 1 | 2 | 4 | 8  # no further seals, no shrinking, no growing, no writing


def copy_checked(source: Path, entry: FileEntry, write: Callable[[memoryview], object]) -> None:
    """Give the content of ``source`` to ``write``; raises RuntimeBundleError where it isn't ``entry``'s."""
    with open_plain(source, entry.path) as file:
        try:
            digest = copy_hashed(file, entry.bytes, write)
        except ValueError:
            raise changed(entry.path) from None
    if digest != entry.sha256:
        raise changed(entry.path)


class PrivateCopies:
    """Makes private copies of one bundle's files, and removes those that have to outlive their loading."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kept: List[weakref.finalize] = []  # type: ignore[type-arg]

    @contextmanager
    def of_file(self, entry: FileEntry) -> Iterator[Path]:
        """A path of a copy of one file; it may go once an engine has loaded it."""
        handle = sealed_copy(self._root, entry)
        if handle is None:
            with self.of_folder([entry], entry.path.rpartition("/")[0]) as folder:
                yield folder / entry.path.rpartition("/")[2]
            return
        path = Path(f"/proc/self/fd/{handle}")
        try:
            yield path
        except EngineError as error:  # it should name the file that the user has
            text = str(error).replace(str(path), entry.path).replace(f"can't load {handle}", f"can't load {entry.path}")
            raise type(error)(text) from error
        finally:
            os.close(handle)

    @contextmanager
    def of_folder(self, entries: Sequence[FileEntry], folder: str) -> Iterator[Path]:
        """A path of a copy of the bundle's folder ``folder``, which ``close`` removes: some engines return to it."""
        temporary = tempfile.mkdtemp(prefix="edgeformer-model-")  # mode 0700
        self._kept.append(weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True))
        copy = Path(temporary, Path(folder).name or "files")
        for entry in entries:
            target = copy.joinpath(*entry.path[len(folder) :].strip("/").split("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                copy_checked(self._root.joinpath(*entry.path.split("/")), entry, file.write)
        yield copy

    def close(self) -> None:
        """Remove the copies that are left; calling it twice is harmless."""
        for finalize in self._kept:
            finalize()


def sealed_copy(root: Path, entry: FileEntry) -> Optional[int]:
    """The descriptor of a sealed file in memory with the content of ``entry``; None where there are none."""
    create: Any = getattr(os, "memfd_create", None)  # Linux only
    if create is None or not Path("/proc/self/fd").is_dir():
        return None
    try:
        handle: int = create("edgeformer-model", _CLOSE_ON_EXEC | _ALLOW_SEALING)
    except OSError:  # an old kernel, or a sandbox without it
        return None
    try:
        with os.fdopen(os.dup(handle), "wb", buffering=0) as file:
            copy_checked(root.joinpath(*entry.path.split("/")), entry, _writer(file))
        import fcntl

        fcntl.fcntl(handle, _ADD_SEALS, _ALL_SEALS)
    except BaseException as error:
        os.close(handle)
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            return None  # no room in memory, or no seals: the disk may have it
        raise
    return handle


def _writer(file: Any) -> Callable[[memoryview], object]:
    def write(block: memoryview) -> None:
        done = 0
        while done < len(block):  # an unbuffered file may take less than it is given
            done += file.write(block[done:])

    return write


def entries_below(files: Sequence[FileEntry], path: str) -> Tuple[FileEntry, ...]:
    """The files at or below ``path``."""
    return tuple(entry for entry in files if entry.path == path or entry.path.startswith(path + "/"))
