"""The data of one compile: what choices are made on, and what the result is judged on. Never the same rows.

--evaluation    judges; nothing is ever chosen on it
--calibration   choices are made on it: best rows that the model was not trained on, since those look easier. One in two
                (one in five without a training file) goes to ``validation``: early stopping, comparing candidates
--training      recovery learns from it; by default from the calibration's rows

The digest of its text decides on which side a row lies, so that equal rows of two files land on one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import SamplesError
from ..model.base import Model
from ..rows.samples import Sample, Samples, read_samples
from .encoded import EncodedSamples
from .encoding import device_preprocess, encode
from .synthetic import synthetic

MAX_CALIBRATION_ROWS = 256
MAX_VALIDATION_ROWS = 1000
VALIDATION_SHARE = 0.2
VALIDATION_SHARE_BESIDE_TRAINING = 0.5
# fewer rows than this are not worth splitting
_MIN_ROWS_TO_SPLIT = 40
# natural data repeats a row now and then; more than this is the same file twice
_MAX_SHARED = 0.01


@dataclass(frozen=True)
class Rows:
    """The rows of one purpose, tokenized when a model asks: a trimmed vocabulary encodes them anew.

    ``samples`` is None where no file was given; ``encoded`` then makes random rows, which say nothing of real inputs.
    """

    samples: Samples | None
    max_length: int
    seed: int = 0
    _encoded: dict[str, EncodedSamples] = field(default_factory=dict, compare=False, repr=False)
    _models: set[str] = field(default_factory=set, compare=False, repr=False)  # shared with what ``first`` gives

    def __len__(self) -> int:
        return 0 if self.samples is None else len(self.samples)

    @property
    def used(self) -> bool:
        """Whether a model has asked for these rows, or for the first of them."""
        return bool(self._models)

    def encoded(self, model: Model) -> EncodedSamples:
        """The rows as ``model``'s tokenizer encodes them, cut to ``max_length`` tokens."""
        how = (model.tokenizer, device_preprocess(model.signature, self.max_length), model.inputs, model.task)
        key = hashlib.sha256(repr(how).encode()).hexdigest()
        self._models.add(key)
        if key not in self._encoded:
            if self.samples is None:
                self._encoded[key] = synthetic(model.signature, self.max_length, self.seed, model.example_inputs)
            else:
                self._encoded[key] = encode(model.signature, self.samples, self.max_length)
        return self._encoded[key]

    def first(self, count: int) -> Rows:
        """At most the first ``count`` rows."""
        if self.samples is None or len(self) <= count:
            return self
        return replace(self, samples=replace(self.samples, rows=self.samples.rows[:count]), _encoded={})


@dataclass(frozen=True)
class Data:
    """Rows by purpose, and where they came from. ``training`` and ``validation`` may be empty."""

    evaluation: Rows
    calibration: Rows
    training: Rows
    validation: Rows
    facts: Mapping[str, Any] = field(default_factory=dict)

    def described(self) -> list[str]:
        """A line a file: its rows, and how its columns and labels were read."""
        return [
            f"{name} rows: {facts['rows']} of {facts['file']}: {facts['read_as']}"
            for name, facts in self.facts.items()
            if "read_as" in facts
        ]


def read_data(
    model: Model,
    max_length: int,
    calibration: str | os.PathLike[str] | None,
    evaluation: str | os.PathLike[str] | None,
    training: str | os.PathLike[str] | None = None,
) -> Data:
    """Read the files for a model's task; without a training file the calibration's rows are learned from.

    Texts are cut to ``max_length`` tokens.

    Raises:
        SamplesError: a file is malformed, or shares more than a stray row with the evaluation's.
    """
    facts: dict[str, Any] = {}
    judged = _read(model, evaluation, "evaluation", facts)
    chosen_on = _read(model, calibration, "calibration", facts)
    learned_from = _read(model, training, "training", facts)
    for name in ("calibration", "training"):
        samples = {"calibration": chosen_on, "training": learned_from}[name]
        if judged is not None and samples is not None:
            kept, dropped = _without_shared_rows(judged, samples)
            facts[name]["rows_shared_with_evaluation_left_out"] = dropped
            chosen_on, learned_from = (kept, learned_from) if name == "calibration" else (chosen_on, kept)
    calibration_rows, training_rows, validation = _split(chosen_on, learned_from)
    for name, rows in (("calibration", calibration_rows), ("training", training_rows), ("validation", validation)):
        facts.setdefault(name, {})["rows_used"] = 0 if rows is None else len(rows)
    return Data(
        evaluation=Rows(judged, max_length),
        calibration=Rows(calibration_rows, max_length, seed=1),
        training=Rows(training_rows, max_length, seed=2),
        validation=Rows(validation, max_length, seed=3),
        facts=facts,
    )


def _split(
    calibration: Samples | None, training: Samples | None
) -> tuple[Samples | None, Samples | None, Samples | None]:
    """Calibration, training and validation rows; no row of the last is in another."""
    pool, learned_from = calibration or training, training or calibration
    if pool is None or learned_from is None or len(pool) < _MIN_ROWS_TO_SPLIT:
        return pool, learned_from, None
    share = VALIDATION_SHARE if calibration is None or training is None else VALIDATION_SHARE_BESIDE_TRAINING
    held_out = {digest for digest in map(row_digest, pool.rows) if digest[0] < 256 * share}
    validation = _shuffled(pool, (row for row in pool.rows if row_digest(row) in held_out), MAX_VALIDATION_ROWS)
    rest = _shuffled(pool, (row for row in pool.rows if row_digest(row) not in held_out), MAX_CALIBRATION_ROWS)
    return rest, _shuffled(learned_from, (r for r in learned_from.rows if row_digest(r) not in held_out)), validation


def _read(model: Model, path: str | os.PathLike[str] | None, name: str, facts: dict[str, Any]) -> Samples | None:
    if path is None:
        return None
    samples = read_samples(Path(path), model.task, evaluation=name == "evaluation")
    facts[name] = {
        "file": Path(path).name,
        "sha256": samples.sha256,
        "rows": len(samples),
        "target": samples.meaning,
        "read_as": samples.described(),
    }
    return samples


def row_digest(row: Sample) -> bytes:
    """SHA-256 of a row's file, or of its texts, blind to case and to white space, but not to words."""
    if row.file is not None:
        return hashlib.sha256(row.file.read_bytes()).digest()
    texts = [row.text if isinstance(row.text, str) else " ".join(row.text), row.text_pair or ""]
    return hashlib.sha256("\0".join(" ".join(text.casefold().split()) for text in texts).encode()).digest()


def _shuffled(samples: Samples, rows: Iterable[Sample], limit: int | None = None) -> Samples:
    """Rows in the order of their digests: files are often sorted by label, and a limit would then see one class."""
    return replace(samples, rows=tuple(sorted(rows, key=row_digest)[:limit]))


def _without_shared_rows(evaluation: Samples, other: Samples) -> tuple[Samples, int]:
    seen = {row_digest(row) for row in evaluation.rows}
    shared = [index for index, row in enumerate(other.rows) if row_digest(row) in seen]
    if len(shared) > _MAX_SHARED * min(len(evaluation), len(other)):
        raise SamplesError(
            f"{len(shared)} rows of {other.path} are also in {evaluation.path} (the first is row "
            f"{shared[0] + 1}): a result judged on rows that it was tuned on proves nothing. Split the data"
        )
    left_out = set(shared)
    return replace(other, rows=tuple(row for i, row in enumerate(other.rows) if i not in left_out)), len(shared)
