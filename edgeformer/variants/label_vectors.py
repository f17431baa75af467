"""The vectors of zero-shot labels' texts: what devices compare pictures with, and so what variants are judged by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.errors import InputError
from edgeformer_runtime.preprocess.text import TextEncoder
from edgeformer_runtime.tasks.feature_extraction import Embedding
from edgeformer_runtime.tasks.zero_shot_image_classification import check_told_apart, stored_vectors

from ..data.encoding import text_preprocess
from ..errors import ModelError
from ..model.base import Model
from ..tasks import RowOutputs, get_task
from ..tasks.image_text_similarity import TEXT
from ..tasks.zero_shot_image_classification import ZeroShotImageClassification

PATH = "preprocess/label_vectors.bin"


def label_vectors(model: Model, max_length: int) -> NDArray[np.float32] | None:
    """float32 [labels, dimensions] of the labels' texts; None for a task whose labels are none.

    Raises:
        ModelError: a label's text is longer than the model reads, or two labels give one vector.
    """
    task, preprocess = get_task(model.task), text_preprocess(model.signature, max_length)
    if not isinstance(task, ZeroShotImageClassification) or preprocess is None or model.tokenizer is None:
        return None
    tower = next(part for part in model.parts() if part.graph == "text")
    encoder = TextEncoder(model.tokenizer.encode("utf-8"), preprocess, tower.inputs)
    found = []
    with torch.inference_mode():
        for text in task.label_texts():
            row = encoder.encode(text)
            vector = tower.module(torch.from_numpy(row.feeds[tower.inputs[0].name]))[0][0].numpy()
            found.append(Embedding(row.tokens, row.truncated, row.tokens_cut, vector))
    try:
        return np.asarray(check_told_apart(model.task.labels, found))
    except InputError as error:
        raise ModelError(f"model {model.name}: {error}") from error


def write_label_vectors(model: Model, max_length: int, directory: Path) -> TaskSpec:
    """The task; where its labels are texts, with the file of their vectors in ``directory``."""
    vectors = label_vectors(model, max_length)
    if vectors is None:
        return model.task
    (directory / PATH).write_bytes(vectors.astype("<f4").tobytes())
    return replace(model.task, label_vectors=PATH)


def stored_rows(bundle: Bundle, rows: int) -> list[RowOutputs] | None:
    """The label vectors of a bundle as the rows' text outputs, for ``Task.judged``; None where it has none."""
    spec = bundle.manifest.task
    if spec.label_vectors is None:
        return None
    vectors = stored_vectors(bundle.read(spec.label_vectors), len(spec.labels))
    return [{TEXT: vectors[index % len(vectors)]} for index in range(rows)]
