"""Calibration and evaluation data: CSV with a header, JSON lines or a JSON list, one sample a row.

Columns by task (case and order don't matter; see ``rows.columns`` for every name):
    text-classification     text | sentence | sentence1 | …, [text_pair | sentence2 | …], label | labels | target | …
                            or a column of 0 and 1 for each of the model's labels
    token-classification    tokens (list), labels | tags | ner_tags (list, one a token)          JSON only
    question-answering      question, context, answers (list of texts, or SQuAD's) | answer
    image-…, audio-…        image | audio | file | path …, beside the table, and a label; or a folder for each label
    feature-extraction      text | sentence | sentence1 | …, [text_pair | sentence2 | …], [score]
    image-text-similarity   image | file | path …, beside the table, and caption | text | sentence | description
Labels are ids, names or 0/1 vectors, the same in all rows of a file (``rows.labels``). Calibration needs none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..errors import SamplesError
from ..tasks import get_task
from . import labels
from .columns import Columns, choose_columns, has_second_text
from .files import Row, read_bytes, rows_of
from .folders import SUFFIXES, beside, files_digest, labelled_files
from .targets import answers, check_text, number, strings


@dataclass(frozen=True)
class Sample:
    """One row: what goes in, and what should come out (None when the row doesn't say)."""

    text: str | tuple[str, ...]  # a tuple of words for token classification
    text_pair: str | None = None
    # label index | list of label indices | list of answers | float score | a picture's texts, the row's own first
    target: Any = None
    file: Path | None = None  # a picture or a sound, where rows are files; there is no text then


@dataclass(frozen=True)
class Samples:
    """Rows of one file, in order, the digest of its bytes, and how its columns were read."""

    path: str
    rows: tuple[Sample, ...]
    sha256: str
    columns: Columns | None = None
    meaning: str | None = None  # of the target: "ids" | "names" | "vectors" | "numbers" | "answers"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labelled(self) -> bool:
        """True when every row has a target."""
        return all(row.target is not None for row in self.rows)

    @property
    def pair(self) -> bool:
        """True when rows hold two texts."""
        return any(row.text_pair is not None for row in self.rows)

    def described(self) -> str:
        """How the file was read, in words: which columns, what the labels are, and what was not used."""
        if self.columns is None:
            labels = "; labels are the folders' names" if self.meaning else ""
            return f"{len(self)} files{labels}"
        found = self.columns
        what = "text" if self.rows[0].file is None else "paths"
        parts = [f"{what} from {' and '.join(name for name in (found.text, found.pair) if name)}"]
        if self.meaning is not None:
            with_target = sum(row.target is not None for row in self.rows)
            column = found.target or (f"{found.vector[0]} … {found.vector[-1]}" if found.vector else str(found.pair))
            of = "" if with_target == len(self) else f" in {with_target} rows, empty in {len(self) - with_target}"
            parts.append(f"{column} holds {self.meaning}{of}")
        if found.unused:
            parts.append(f"not used: {', '.join(name or '(a column without a name)' for name in found.unused)}")
        return "; ".join(parts)


def has_pairs(path: Path) -> bool:
    """Whether a file's rows hold two texts, from its first row."""
    return not path.is_dir() and any(
        has_second_text(tuple(row.cells)) for row in _first(rows_of(path, read_bytes(path)))
    )


def read_samples(path: Path, task: TaskSpec, *, evaluation: bool) -> Samples:
    """Read a file for a task.

    Args:
        path: a .csv, .tsv, .jsonl or .json file.
        task: decides columns and labels.
        evaluation: rows must have targets where the task has a metric, and more than one value of them.

    Raises:
        SamplesError: naming file, line, what was expected and what was found.
    """
    if path.is_dir():
        return _read_folder(path, task, evaluation=evaluation)
    data = read_bytes(path)
    rows = list(rows_of(path, data))
    if not rows:
        raise SamplesError(f"samples {path}: holds no rows")
    columns = choose_columns(tuple(dict.fromkeys(name for row in rows for name in row.cells)), task, str(path))
    texts = [_text(row, columns, task, path) for row in rows]
    meaning, targets = _targets(rows, texts, columns, task, str(path))
    found = tuple(Sample(text, pair, target, file) for (text, pair, file), target in zip(texts, targets, strict=True))
    samples = Samples(str(path), found, hashlib.sha256(data).hexdigest(), columns, meaning)
    if evaluation:
        _check_evaluation(samples, [row.where for row in rows], task)
    return samples


def _first(rows: Iterator[Row]) -> list[Row]:
    return [row for row, _ in zip(rows, range(1), strict=False)]


def _read_folder(path: Path, task: TaskSpec, *, evaluation: bool) -> Samples:
    """A folder per label; a folder of files alone has no labels."""
    files, targets = labelled_files(path, task)
    rows = tuple(Sample("", file=file, target=target) for file, target in zip(files, targets, strict=True))
    names = None if targets[0] is None else "folders"
    samples = Samples(str(path), rows, files_digest(path, files), meaning=names)
    if evaluation:
        _check_evaluation(samples, [str(file.relative_to(path)) for file in files], task)
    return samples


def _text(
    row: Row, columns: Columns, task: TaskSpec, path: Path
) -> tuple[str | tuple[str, ...], str | None, Path | None]:
    """Text, second text and file of a row."""
    where = f"{path}, {row.where}"
    for name in (columns.text, columns.pair):
        if name is not None and name not in row.cells:
            raise SamplesError(f"samples {where}: no {name!r}, which other rows have")
    if get_task(task).reads == "words":
        return tuple(strings(row.cells[columns.text], columns.text, where)), None, None
    if get_task(task).reads in SUFFIXES:
        return "", None, beside(path, row.cells[columns.text], columns.text, where)
    if get_task(task).reads == "image and text" and columns.pair is not None:
        picture = beside(path, row.cells[columns.text], columns.text, where)
        return check_text(row.cells[columns.pair], columns.pair, where), None, picture
    text = check_text(row.cells[columns.text], columns.text, where)
    second = None if columns.pair is None else check_text(row.cells[columns.pair], columns.pair, where)
    return text, second, None


def _targets(
    rows: Sequence[Row], texts: Sequence[tuple[Any, ...]], columns: Columns, task: TaskSpec, path: str
) -> tuple[str | None, Sequence[Any]]:
    """What the targets of all rows are ("numbers" | "answers" | a meaning of labels), and each row's, None for none."""
    if get_task(task).targets == "text":
        return "texts", _texts_of_pictures(texts)
    nothing: list[Any] = [None] * len(rows)
    name = columns.target
    if name is None and not columns.vector:
        return None, nothing
    values = [[row.cells.get(x) for x in columns.vector] if name is None else row.cells.get(name) for row in rows]
    where = [f"{path}, {row.where}" for row in rows]
    name = name or "the columns of the labels"
    kind = get_task(task).targets
    if kind == "answers":
        found: list[Any] = [answers(value, name, w) for value, w in zip(values, where, strict=True)]
        meaning = "answers"
    elif kind in ("number", "score"):
        found, meaning = [number(value, name, w) for value, w in zip(values, where, strict=True)], "numbers"
    else:
        stated = "vectors" if columns.vector else columns.stated
        return _labels(values, texts, rows, task, name, stated, path)
    return (meaning if any(item is not None for item in found) else None), found


def _texts_of_pictures(texts: Sequence[tuple[Any, ...]]) -> list[tuple[str, ...]]:
    """Each row's text, and behind it the others of its picture; files of equal bytes are one picture."""
    digest = cache(lambda file: hashlib.sha256(read_bytes(file)).hexdigest())
    of_picture: dict[str, set[str]] = {}
    for text, _, file in texts:
        of_picture.setdefault(digest(file), set()).add(text)
    return [(text, *sorted(of_picture[digest(file)] - {text})) for text, _, file in texts]


def _labels(
    values: Sequence[Any],
    texts: Sequence[tuple[Any, ...]],
    rows: Sequence[Row],
    task: TaskSpec,
    name: str,
    stated: str | None,
    path: str,
) -> tuple[str | None, list[Any]]:
    cells = [labels.read_cell(value, task, path, row.where) for value, row in zip(values, rows, strict=True)]
    if get_task(task).targets == "word labels":
        for value, (words, *_), row in zip(values, texts, rows, strict=True):
            if value is not None and (not isinstance(value, list) or len(value) != len(words)):
                raise SamplesError(f"samples {path}, {row.where}: {name}: expected a list with one label for each of "
                                   f"{len(words)} tokens")  # fmt: skip
    given = [cell for cell in cells if cell is not None]
    if not given:
        return None, [None] * len(cells)
    meaning, targets = labels.decide(given, task, name, stated, path)
    in_order = iter(targets)
    return meaning, [None if cell is None else next(in_order) for cell in cells]


def _check_evaluation(samples: Samples, where: Sequence[str], task: TaskSpec) -> None:
    with_score = [row.target is not None for row in samples.rows]
    kind = get_task(task).targets
    if kind == "score" and not any(with_score):
        return
    for number_, present in enumerate(with_score):
        if not present:
            empty = "; for a text that has none of the labels write []" if task.multi_label else ""
            known = samples.columns.unused if samples.columns else ()
            others = f" (columns not used: {', '.join(known)})" if known and not any(with_score) else ""
            raise SamplesError(
                f"samples {samples.path}: row {number_ + 1} ({where[number_]}) has no label, and evaluation needs "
                f"one{empty}{others}"
            )
    if kind in ("word labels", "answers", "labels"):
        return
    needed = get_task(task).min_rows
    if len(samples) < needed:
        raise SamplesError(
            f"samples {samples.path}: {len(samples)} rows: expected at least {needed}, one for each label's text"
        )
    if kind == "text":
        _check_texts(samples)
        return
    values = {row.target for row in samples.rows}
    if len(values) > 1:
        return
    (only,) = values
    if kind == "label":
        raise SamplesError(
            f"samples {samples.path}: every row has the label {task.labels[only]!r}: accuracy on one class says "
            "nothing. Give rows of at least two classes"
        )
    raise SamplesError(f"samples {samples.path}: every row has the target {only:g}: a correlation with one value says "
                       "nothing. Give rows of different values")  # fmt: skip


def _check_texts(samples: Samples) -> None:
    texts = {row.target[0] for row in samples.rows}
    if all(texts <= set(row.target) for row in samples.rows):
        raise SamplesError(
            f"samples {samples.path}: every text is a text of every picture, so that none can be the wrong one: give "
            "rows of different pictures with different texts"
        )
