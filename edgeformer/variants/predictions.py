"""What a model says of rows that are files, kept for a report's examples. Texts may be private, and aren't kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeformer_runtime.errors import RuntimeBundleError
from edgeformer_runtime.preprocess.base import Encoded
from edgeformer_runtime.tasks import Task
from edgeformer_runtime.tasks.text_classification import Regression

from ..model.base import Model
from ..rows.folders import SUFFIXES
from ..tasks import get_task


def predictions(
    model: Model, outputs: Sequence[Mapping[str, NDArray[np.float32]]]
) -> list[dict[str, Any] | None] | None:
    """What ``Session.predict`` says of each row: {labels, score}, {labels} of several, or {value}; plain data.

    None for a row whose outputs hold NaN or infinity. No list where rows are no files, get no label or number, or are
    too few for it.
    """
    task = get_task(model.task)
    if task.reads not in SUFFIXES or task.targets not in ("label", "labels", "number"):
        return None
    on_device = task.on_device(outputs, model.outputs)
    return None if on_device is None else [_prediction(on_device, row) for row in outputs]


def _prediction(task: Task, row: Mapping[str, NDArray[np.float32]]) -> dict[str, Any] | None:
    arrays = {name: array[np.newaxis] for name, array in row.items()}
    try:
        found: Any = task.predict(arrays, Encoded({}))
    except RuntimeBundleError:
        return None
    if isinstance(found, Regression):
        return {"value": found.value}
    return {"labels": list(found.labels)} if task.spec.multi_label else {"labels": [found.label], "score": found.score}
