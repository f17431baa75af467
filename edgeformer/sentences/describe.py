"""What sentence-transformers' files say of a model's task and of its texts, embedding or cross-encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..errors import ModelError
from .cross_encoder import read_cross_encoder, with_activation
from .settings import SentenceSettings, read_settings


def described_task(
    task: TaskSpec,
    directory: Path,
    encoder: Path,
    config: Mapping[str, Any],
    *,
    pools: bool,
    dimensions: int | None,
) -> tuple[TaskSpec, SentenceSettings, tuple[str, ...]]:
    """The task with its activation or similarity, the settings that go with it, and notes.

    Args:
        task: as config.json and the caller say.
        directory: the model's.
        encoder: where in it config.json lies; the same for most.
        config: of the encoder.
        pools: the task's head is behind a pooling: an embedding, or a head on one.
        dimensions: overrides ``truncate_dim``.

    Raises:
        ModelError: a setting that isn't followed here, or ``dimensions`` for a task that has no embedding.
    """
    if dimensions is not None and (task.name != "feature-extraction" or dimensions < 1):
        raise ModelError(
            f"dimensions {dimensions}: expected at least 1, for the task feature-extraction, not {task.name}"
        )
    if pools:
        settings = read_settings(directory, encoder)
        if dimensions is not None:
            settings = replace(settings, dimensions=dimensions)
        similarity = settings.similarity if task.name == "feature-extraction" else None
        return replace(task, similarity=similarity), settings, ()
    if task.name == "text-classification":
        settings = read_cross_encoder(directory, encoder)
        spec, notes = with_activation(task, config, settings, str(directory))
        return spec, settings, notes
    return task, SentenceSettings(), ()
