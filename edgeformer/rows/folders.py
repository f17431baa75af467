"""Rows of files: a folder per label (label/cat.jpg), or a table with a column of paths, which are beside the table."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..errors import SamplesError
from ..tasks import get_task

SUFFIXES = {
    "image": (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"),
    "audio": (".wav",),
}
NOUNS = {"image": "pictures", "audio": "sounds"}
_MOST_NAMED = 5


def labelled_files(path: Path, task: TaskSpec) -> tuple[list[Path], list[int | None]]:
    """The files of a folder, in order, and the index of each one's label.

    The indices are None where there are no folders in it, or the task has no labels.

    Raises:
        SamplesError: no file of the task's kind, folders that are no labels of the model's, or files beside them.
    """
    reads = get_task(task).reads
    if reads not in SUFFIXES:
        raise SamplesError(f"samples {path}: is a folder, expected a file of rows: .csv, .tsv, .jsonl or .json")
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES[reads] and file.is_file())
    if not found:
        raise SamplesError(
            f"samples {path}: holds no {NOUNS[reads]} ({', '.join(SUFFIXES[reads])}): expected a folder for each label"
        )
    folders = [file.relative_to(path).parts[:-1] for file in found]
    if not any(folders) or get_task(task).targets != "label":
        return found, [None] * len(found)
    beside = [file.name for file, parts in zip(found, folders, strict=True) if not parts]
    if beside:
        raise SamplesError(
            f"samples {path}: {beside[0]} lies beside the labels' folders, so it has no label. Put it into one"
        )
    by_name = {label.strip().casefold(): index for index, label in enumerate(task.labels)}
    unknown = sorted({parts[0] for parts in folders if parts[0].strip().casefold() not in by_name})
    if unknown:
        listed = ", ".join(task.labels[:_MOST_NAMED]) + (", …" if len(task.labels) > _MOST_NAMED else "")
        raise SamplesError(
            f"samples {path}: folder {unknown[0]!r} is no label of the model's, which are {listed}: name each folder "
            "by its label (--labels A,B,… names the model's outputs)"
        )
    return found, [by_name[parts[0].strip().casefold()] for parts in folders]


def beside(table: Path, value: Any, column: str, where: str) -> Path:
    """The file that a table's cell names, relative to the table; raises SamplesError where there is none."""
    if not isinstance(value, str) or not value.strip():
        raise SamplesError(f"samples {where}: {column}: expected the path of a file, got {value!r:.60}")
    found = table.parent / value
    try:
        exists = found.is_file()
    except (OSError, ValueError):  # a NUL, or a name too long
        exists = False
    if not exists:
        raise SamplesError(f"samples {where}: {column}: no file {value!r:.200} beside {table.name}")
    return found


def files_digest(root: Path, files: Sequence[Path]) -> str:
    """SHA-256 over the files' names and bytes."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(file.relative_to(root).as_posix()) + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
