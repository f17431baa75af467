"""Calibration and evaluation data: CSV with a header, or JSONL, one sample a row.

Columns by task (the first name that is present counts):
    text-classification     text | sentence | sentence1, [text_pair | sentence2], label
    token-classification    tokens (list), labels (list, one a token)                       JSONL only
    question-answering      question, context, answers (list of texts) | answer
    feature-extraction      text | sentence | sentence1, [text_pair | sentence2], [score]
Labels may be names or indices. For calibration no labels are needed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeformer_runtime.manifest import TaskSpec

from .errors import SamplesError

_TEXT = ("text", "sentence", "sentence1", "question", "premise", "tokens")
_PAIR = ("text_pair", "sentence2", "context", "hypothesis")


@dataclass(frozen=True)
class Sample:
    """One row: what goes in, and what should come out (None when the row doesn't say)."""

    text: str | tuple[str, ...]  # a tuple of words for token classification
    text_pair: str | None = None
    target: Any = None  # label index | list of label indices | list of answers | float score


@dataclass(frozen=True)
class Samples:
    """Rows of one file, in order, and the digest of its bytes."""

    path: str
    rows: tuple[Sample, ...]
    sha256: str

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


def has_pairs(path: Path) -> bool:
    """Whether a file's rows hold two texts, from its first row."""
    for _, row in _rows(path, _bytes(path)):
        return any(name in row for name in _PAIR)
    return False


def read_samples(path: Path, task: TaskSpec, *, evaluation: bool) -> Samples:
    """Read a file for a task.

    Args:
        path: a .csv, .jsonl or .json-lines file.
        task: decides columns and labels.
        evaluation: rows must have targets where the task has a metric, and for classification more than one class.

    Raises:
        SamplesError: naming file, line, what was expected and what was found.
    """
    data = _bytes(path)
    rows = tuple(_sample(row, task, f"{path}, line {line}") for line, row in _rows(path, data))
    if not rows:
        raise SamplesError(f"samples {path}: holds no rows")
    samples = Samples(str(path), rows, hashlib.sha256(data).hexdigest())
    if evaluation:
        _check_evaluation(samples, task)
    return samples


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SamplesError(f"samples {path}: can't be read: {error.strerror}") from error


def _rows(path: Path, data: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SamplesError(f"samples {path}, line {line}: not UTF-8 text: {error.reason}") from error
    if path.suffix.lower() in (".jsonl", ".json", ".ndjson"):
        yield from _json_rows(path, text)
    elif path.suffix.lower() in (".csv", ".tsv"):
        yield from _csv_rows(path, text)
    else:
        raise SamplesError(f"samples {path}: {path.suffix!r} is unknown: expected .csv, .tsv or .jsonl")


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise SamplesError(f"samples {path}, line {number}: not valid JSON: {error.msg}") from error
        if not isinstance(row, dict):
            raise SamplesError(f"samples {path}, line {number}: expected a JSON object, got {type(row).__name__}")
        yield number, row


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",", strict=True
    )
    try:
        for row in reader:
            line = reader.line_num
            if None in row or any(value is None for value in row.values()):
                wanted = len(reader.fieldnames or ())
                raise SamplesError(f"samples {path}, line {line}: expected {wanted} columns, as the header has")
            yield line, row
    except csv.Error as error:
        raise SamplesError(f"samples {path}, line {reader.line_num}: malformed CSV: {error}") from error


def _sample(row: Mapping[str, Any], task: TaskSpec, where: str) -> Sample:
    text = _first(row, _TEXT)
    if text is None:
        raise SamplesError(f"samples {where}: no text: expected a column {' | '.join(_TEXT)}, found {', '.join(row)}")
    pair = _first(row, _PAIR)
    if task.name == "token-classification":
        words = _strings(row.get("tokens"), "tokens", where)
        return Sample(tuple(words), None, _token_labels(row.get("labels"), words, task, where))
    if not isinstance(text, str) or not isinstance(pair, str | None):
        raise SamplesError(f"samples {where}: texts must be strings")
    if task.name == "question-answering":
        if pair is None:
            raise SamplesError(f"samples {where}: a question needs a column 'context'")
        answers = row.get("answers", row.get("answer"))
        answers = [answers] if isinstance(answers, str) else answers
        return Sample(text, pair, None if answers is None else _strings(answers, "answers", where))
    if task.name == "text-classification":
        return Sample(text, pair, _label(row.get("label"), task, where))
    score = row.get("score")
    return Sample(text, pair, None if score in (None, "") else _number(score, "score", where))


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if name in row), None)


def _strings(value: Any, name: str, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SamplesError(f"samples {where}: {name}: expected a list of strings, got {value!r:.60}")
    return value


def _number(value: Any, name: str, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise SamplesError(f"samples {where}: {name}: expected a number, got {value!r:.60}") from error


def _label(value: Any, task: TaskSpec, where: str) -> Any:
    if value is None or value == "":
        return None
    if task.regression:
        return _number(value, "label", where)
    if task.multi_label:
        names = value if isinstance(value, list) else str(value).split("|")
        return [_label_index(item, task, where) for item in names if item != ""]
    return _label_index(value, task, where)


def _label_index(value: Any, task: TaskSpec, where: str) -> int:
    if isinstance(value, str) and value in task.labels:
        return task.labels.index(value)
    try:
        index = int(value)
    except (TypeError, ValueError):
        index = -1
    if isinstance(value, bool) or not 0 <= index < len(task.labels):
        raise SamplesError(
            f"samples {where}: label {value!r} is none of the model's: {', '.join(task.labels)} "
            f"(or an index below {len(task.labels)})"
        )
    return index


def _token_labels(value: Any, words: Sequence[str], task: TaskSpec, where: str) -> list[int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != len(words):
        raise SamplesError(f"samples {where}: labels: expected a list with one label for each of {len(words)} tokens")
    return [_label_index(item, task, where) for item in value]


def _check_evaluation(samples: Samples, task: TaskSpec) -> None:
    if task.name in ("feature-extraction", "tensors"):
        return
    for index, row in enumerate(samples.rows):
        if row.target is None:
            raise SamplesError(f"samples {samples.path}: row {index + 1} has no label, and evaluation needs one")
    if task.name != "text-classification" or task.regression or task.multi_label:
        return
    classes = {row.target for row in samples.rows}
    if len(classes) < 2:
        only = task.labels[next(iter(classes))]
        raise SamplesError(
            f"samples {samples.path}: every row has the label {only!r}: accuracy on one class says nothing. "
            "Give rows of at least two classes"
        )
