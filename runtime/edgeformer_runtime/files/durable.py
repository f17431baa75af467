"""Writing so that a power cut leaves the old content or the new one: sync what is new, then rename, then sync the
folder that holds the name.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Ask the disk to hold the content of a file."""
    handle = os.open(str(path), (os.O_RDWR if os.name == "nt" else os.O_RDONLY) | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Ask the disk to hold the names in a folder."""
    if os.name == "posix":  # Windows has no handle of a folder to sync
        sync_file(folder)


def sync_tree(directory: Path) -> None:
    """Ask the disk to hold every file and folder below ``directory``, and itself; deepest first."""
    for folder, _, files in os.walk(str(directory), topdown=False):
        for name in files:
            sync_file(Path(folder, name))
        sync_folder(Path(folder))


def write_replacing(path: Path, content: bytes, temporary: Path) -> None:
    """Put ``content`` at ``path`` in one step. ``temporary`` is a name on the same file system; what is there goes."""
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make ``path`` and the folders above it, where they aren't there, so that a power cut doesn't take them back."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)
