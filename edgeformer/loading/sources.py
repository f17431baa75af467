"""What is known of a model directory once its files and weights were read, and before they are one Model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..lora import Adapter
from ..sentences.setfit import SetFitHead
from ..tasks import get_task


@dataclass(frozen=True)
class Asked:
    """What the caller states of a model, where its files don't say it or say it wrong; see ``load_model``."""

    task: str | None = None
    labels: tuple[str, ...] = ()
    pair: bool = False
    pair_rows: bool = False
    pooling: str | None = None
    normalize: bool | None = None
    dimensions: int | None = None
    hypothesis_template: str | None = None
    allow_pickle: bool = False


@dataclass(frozen=True)
class Files:
    """A directory whose files were looked at, and its adapters'. ``path`` is the encoder's folder in ``given``."""

    given: Path
    path: Path
    config: Mapping[str, Any]
    adapters: tuple[Path, ...]
    parts: tuple[Adapter, ...]
    head: SetFitHead | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Weights:
    """A module with its weights, the names of its outputs, and the folder of the tokenizer that goes with it."""

    module: torch.nn.Module
    labels: tuple[str, ...]
    tokenizer: Path
    untrained: frozenset[str]
    notes: tuple[str, ...]


def task_spec(files: Files, weights: Weights, task: str) -> TaskSpec:
    """The task with the model's labels, and what its head says of them."""
    head, names = files.head, weights.labels
    return TaskSpec(
        name=task,
        labels=names if get_task(TaskSpec(task)).labels_of_head else (),
        multi_label=head.multi_label if head else files.config.get("problem_type") == "multi_label_classification",
        regression=get_task(TaskSpec(task)).regresses and len(names) == 1,
    )
