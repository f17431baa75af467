"""What a model says of rows that are files, kept for a report's examples. Texts may be private, and aren't kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeformer_runtime.errors import RuntimeBundleError
from edgeformer_runtime.preprocess.base import Encoded
from edgeformer_runtime.tasks import get_task as get_task_of_devices
from edgeformer_runtime.tasks.text_classification import Regression

from ..model.base import Model
from ..rows.folders import SUFFIXES
from ..tasks import get_task


def predictions(
    model: Model, outputs: Sequence[Mapping[str, NDArray[np.float32]]]
) -> list[dict[str, Any] | None] | None:
    """What ``Session.predict`` says of each row: {labels, score}, {labels} of several, or {value}; plain data.

    None for a row whose outputs hold NaN or infinity. No list where rows are no files, or get no label or number.
    """
    task = get_task(model.task)
    if task.reads not in SUFFIXES or task.targets not in ("label", "labels", "number"):
        return None
    return [_prediction(model, row) for row in outputs]


def _prediction(model: Model, row: Mapping[str, NDArray[np.float32]]) -> dict[str, Any] | None:
    arrays = {name: array[np.newaxis] for name, array in row.items()}
    try:
        found: Any = get_task_of_devices(model.task, model.outputs).predict(arrays, Encoded({}))
    except RuntimeBundleError:
        return None
    if isinstance(found, Regression):
        return {"value": found.value}
    return {"labels": list(found.labels)} if model.task.multi_label else {"labels": [found.label], "score": found.score}
