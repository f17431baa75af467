"""The data of one compile: what choices are made on, and what the result is judged on. Never the same rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .encoding import EncodedSamples, encode, synthetic
from .errors import SamplesError
from .model import Model
from .recipe import Recipe
from .samples import Samples, read_samples

MAX_CALIBRATION_ROWS = 64


@dataclass(frozen=True)
class Data:
    """Encoded rows, and where they came from."""

    evaluation: EncodedSamples
    calibration: EncodedSamples
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_data(
    model: Model,
    recipe: Recipe,
    calibration: str | os.PathLike[str] | None,
    evaluation: str | os.PathLike[str] | None,
) -> Data:
    """Read both files for a model's task.

    Raises:
        SamplesError: a file is malformed, or shares rows with the other.
    """
    longest = max(recipe.export.sequence_lengths)
    facts: dict[str, Any] = {}
    judged: Samples | None = None
    if evaluation is not None:
        judged = read_samples(Path(evaluation), model.task, evaluation=True)
        facts["evaluation"] = {"file": Path(evaluation).name, "sha256": judged.sha256, "rows": len(judged)}
    ranged: Samples | None = None
    if calibration is not None:
        ranged = read_samples(Path(calibration), model.task, evaluation=False)
        facts["calibration"] = {"file": Path(calibration).name, "sha256": ranged.sha256, "rows": len(ranged)}
    if judged is not None and ranged is not None:
        _refuse_shared_rows(judged, ranged)
    encoded = encode(model, judged, longest) if judged is not None else synthetic(model, longest)
    return Data(encoded, _calibration_rows(model, ranged, longest), facts)


def _calibration_rows(model: Model, samples: Samples | None, longest: int) -> EncodedSamples:
    if samples is None:
        return synthetic(model, longest, seed=1)
    first = Samples(samples.path, samples.rows[:MAX_CALIBRATION_ROWS], samples.sha256)
    return encode(model, first, longest)


def _refuse_shared_rows(evaluation: Samples, calibration: Samples) -> None:
    seen = {(row.text, row.text_pair) for row in calibration.rows}
    shared = [index for index, row in enumerate(evaluation.rows) if (row.text, row.text_pair) in seen]
    if shared:
        raise SamplesError(
            f"{len(shared)} rows of {evaluation.path} are also in {calibration.path} (the first is row "
            f"{shared[0] + 1}): a result judged on rows that it was tuned on proves nothing. Split the data"
        )
