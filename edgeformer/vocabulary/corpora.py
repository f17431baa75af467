"""The texts that a vocabulary is trimmed by: files of the user, and rows of the compile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..errors import InputError, SamplesError
from ..rows.samples import Sample, Samples, read_samples
from ..tasks import get_task

if TYPE_CHECKING:
    from ..data.splits import Data


@dataclass(frozen=True)
class Corpus:
    """Texts, their digest, and for the report where they came from."""

    texts: tuple[str, ...]
    sources: tuple[dict[str, Any], ...]

    def digest(self) -> str:
        """SHA-256 over all texts."""
        digest = hashlib.sha256()
        for text in self.texts:
            digest.update(f"{len(text)} ".encode() + text.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def read_corpus(paths: Sequence[str], data: Data | None, task: TaskSpec, *, use_rows: bool) -> Corpus:
    """Texts of ``paths`` (.txt: one a line; .csv, .tsv, .jsonl as samples) and of calibration and training rows.

    Texts that are also evaluation rows are left out and counted.

    Raises:
        SamplesError: a file is missing or malformed.
        InputError: there is no text at all.
    """
    from ..data.splits import row_digest

    judged: set[bytes] = set()
    if data is not None and data.evaluation.samples is not None:
        judged = {row_digest(row) for row in data.evaluation.samples.rows}
    texts: list[str] = []
    sources: list[dict[str, Any]] = []
    for name, rows in [*_files(paths, task), *(_rows(data) if use_rows else ())]:
        kept = [row for row in rows if row_digest(row) not in judged]
        left_out = len(rows) - len(kept)
        texts += row_texts(kept)
        sources.append({"source": name, "rows": len(kept), "rows_shared_with_evaluation_left_out": left_out})
    if not texts:
        raise InputError(
            "trim_vocabulary keeps the tokens that texts use, and has no text: give corpora, or --calibration FILE, "
            "or --training FILE"
        )
    return Corpus(tuple(texts), tuple(sources))


def row_texts(rows: Iterable[Sample]) -> list[str]:
    """Every text of every row, words joined by spaces as they are when encoded."""
    texts = []
    for row in rows:
        texts.append(row.text if isinstance(row.text, str) else " ".join(row.text))
        if row.text_pair is not None:
            texts.append(row.text_pair)
    return texts


def _files(paths: Sequence[str], task: TaskSpec) -> list[tuple[str, Sequence[Sample]]]:
    # labels of a corpus need not be the model's, so it is read as plain texts
    reading = TaskSpec("token-classification" if get_task(task).reads == "words" else "feature-extraction")
    found: list[tuple[str, Sequence[Sample]]] = []
    for path in map(Path, paths):
        rows = _lines(path) if path.suffix.lower() == ".txt" else _samples(path, reading).rows
        found.append((path.name, rows))
    return found


def _samples(path: Path, task: TaskSpec) -> Samples:
    try:
        return read_samples(path, task, evaluation=False)
    except SamplesError as error:
        raise SamplesError(f"corpora: {error} (.txt files, one text a line, are read too)") from error


def _lines(path: Path) -> list[Sample]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SamplesError(f"corpora: {path}: can't be read as UTF-8 text: {error}") from error
    rows = [Sample(line) for line in text.split("\n") if line.strip()]
    if not rows:
        raise SamplesError(f"corpora: {path}: holds no text")
    return rows


def _rows(data: Data | None) -> list[tuple[str, Sequence[Sample]]]:
    if data is None:
        return []
    named = (("calibration rows", data.calibration.samples), ("training rows", data.training.samples))
    return [(name, samples.rows) for name, samples in named if samples is not None]
