"""Rows that are ready to run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class EncodedSamples:
    """Rows ready to run. ``targets`` is None when the rows are unlabelled or made up.

    For pairs with a similarity score (feature extraction) each row gives two entries of ``feeds``, one after the other.
    """

    feeds: tuple[Feeds, ...]
    targets: tuple[Any, ...] | None
    source: str  # for the report: the file, or how the rows were made
    truncated: int = 0
    made_up: bool = False  # random rows: good for comparing numerics, no base for a choice
    notes: tuple[str, ...] = ()  # what was done to rows before: a sound resampled, its channels averaged

    @property
    def noted(self) -> str | None:
        """The notes in one line; None where there are none."""
        more = f" (and {len(self.notes) - 1} more)" if len(self.notes) > 1 else ""
        return f"{self.notes[0]}{more}" if self.notes else None

    def digest(self) -> str:
        """SHA-256 over every array of every row, and the targets."""
        digest = hashlib.sha256()
        for row in self.feeds:
            for name in sorted(row):
                digest.update(f"{name} {row[name].dtype} {row[name].shape}".encode())
                digest.update(np.ascontiguousarray(row[name]).data)
        digest.update(repr(self.targets).encode())
        return digest.hexdigest()
