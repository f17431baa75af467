"""Which head a model directory has: its task, the class of transformers that loads it, and its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .errors import ModelError
from .model_files import read_json

_HEADS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
}
_PEFT_TASKS = {
    "SEQ_CLS": "text-classification",
    "TOKEN_CLS": "token-classification",
    "QUESTION_ANS": "question-answering",
    "FEATURE_EXTRACTION": "feature-extraction",
}
AUTO_CLASSES = {
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "feature-extraction": "AutoModel",
}


def task_of(config: Mapping[str, Any], adapters: Sequence[Mapping[str, Any]]) -> str:
    """The task that the adapters' ``task_type`` says, else ``architectures`` in config.json."""
    for adapter in adapters:
        if adapter.get("task_type") in _PEFT_TASKS:
            return _PEFT_TASKS[adapter["task_type"]]
    for architecture in config.get("architectures") or ():
        for suffix, task in _HEADS.items():
            if architecture.endswith(suffix):
                return task
    return "feature-extraction"


def labels_of(config: Mapping[str, Any], path: Path, adapters: Sequence[Path]) -> tuple[str, ...]:
    """Labels by output, from an adapter's config.json or the model's; () where neither names any."""
    configs = [read_json(a / "config.json") for a in adapters if (a / "config.json").is_file()] + [config]
    for candidate in configs:
        table = candidate.get("id2label")
        if not table:
            continue
        try:
            return tuple(str(table[key]) for key in sorted(table, key=int))
        except (ValueError, AttributeError) as error:
            raise ModelError(f"model {path}: id2label is not a table of numbers to labels: {error}") from error
    return ()


def names_for_head(labels: tuple[str, ...], module: torch.nn.Module, task: str) -> tuple[str, ...]:
    """``labels`` where there is one an output, else LABEL_0, LABEL_1…; () for tasks without labels."""
    if "classification" not in task:
        return ()
    count = int(getattr(module.config, "num_labels", 0))
    return labels if len(labels) == count else tuple(f"LABEL_{index}" for index in range(count))


def labels_for_width(path: Path, labels: tuple[str, ...], width: int) -> tuple[tuple[str, ...], str]:
    """Labels for a head that has ``width`` outputs where config.json says another number, and a note of it.

    Raises:
        ModelError: config.json's labels have names, so that which output is whose isn't known.
    """
    if any(not label.startswith("LABEL_") for label in labels):
        raise ModelError(
            f"model {path}: the trained head in the file has {width} outputs, but config.json names {len(labels)} "
            f"labels: {', '.join(labels)}. Give the {width} labels in the order of the outputs (--labels A,B,…)"
        )
    count = len(labels) or 2  # transformers' default
    note = (
        f"the trained head has {width} outputs, config.json says {count}: they are called LABEL_0 to LABEL_{width - 1}"
    )
    return tuple(f"LABEL_{index}" for index in range(width)), note
