"""Which head a model directory has: its task, the class of transformers that loads it, and its labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..errors import ModelError
from ..model.files import read_json
from ..sentences.settings import is_cross_encoder
from ..tasks import get_task

_HEADS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForImageClassification": "image-classification",
    "ForImageClassificationWithTeacher": "image-classification",
    "ForAudioClassification": "audio-classification",
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
    "image-classification": "AutoModelForImageClassification",
    "image-feature-extraction": "AutoModel",
    "image-text-similarity": "AutoModel",
    "zero-shot-image-classification": "AutoModel",
    "audio-classification": "AutoModelForAudioClassification",
}


_OTHER_HEADS = {  # end of the class's name -> what that head does
    "ForMaskedLM": "fills in masked words",
    "ForPreTraining": "was for pretraining",
    "ForNextSentencePrediction": "tells whether one sentence follows another",
    "ForMultipleChoice": "compares several choices in one input",
    "ForCausalLM": "generates text",
    "LMHeadModel": "generates text",
    "ForConditionalGeneration": "generates text",
}


def task_of(path: Path, config: Mapping[str, Any], adapters: Sequence[Mapping[str, Any]]) -> str:
    """The task that the adapters' ``task_type`` says, else ``architectures`` in config.json.

    Raises:
        ModelError: the model has a head that no task is for; as an embedding model it would lose it in silence.
    """
    for adapter in adapters:
        if adapter.get("task_type") in _PEFT_TASKS:
            return _PEFT_TASKS[adapter["task_type"]]
        trained_on = str((adapter.get("auto_mapping") or {}).get("base_model_class"))  # where no task_type was given
        for suffix, task in _HEADS.items():
            if trained_on.endswith(suffix):
                return task
    architectures = _architectures(config)
    if (path / "modules.json").is_file() and not is_cross_encoder(path):
        return "feature-extraction"  # of sentence-transformers: whatever its encoder was trained as before
    for architecture in architectures:
        for suffix, task in _HEADS.items():
            if architecture.endswith(suffix):
                return "audio-classification" if _reads("input_values", architectures) else task
    for architecture in architectures:
        if "For" in architecture or architecture.endswith(tuple(_OTHER_HEADS)):
            does = next((f", which {does}" for end, does in _OTHER_HEADS.items() if architecture.endswith(end)), "")
            raise ModelError(
                f"model {path}: its head, {architecture}{does}, is none that edgeformer compiles: expected one for "
                f"{', '.join(_HEADS.values())}. Fine-tune it for one of these (or give the adapter that was), or say "
                "--task feature-extraction for the embeddings of its encoder, without the head"
            )
    if _has_two_towers(architectures):
        return "image-text-similarity"
    return "image-feature-extraction" if _reads("pixel_values", architectures) else "feature-extraction"


def _has_two_towers(architectures: Sequence[str]) -> bool:
    """Whether transformers' class of one of these names gives vectors of pictures and of texts."""
    import transformers

    classes = [getattr(transformers, name, None) for name in architectures]
    return any(hasattr(kind, "get_image_features") and hasattr(kind, "get_text_features") for kind in classes)


def _reads(main_input: str, architectures: Sequence[str]) -> bool:
    """Whether transformers' class of one of these names takes ``main_input`` first."""
    import transformers

    classes = [getattr(transformers, name, None) for name in architectures]
    return any(getattr(kind, "main_input_name", "") == main_input for kind in classes)


def check_nothing_lost(path: Path, config: Mapping[str, Any], unused: Collection[str]) -> None:
    """Raise ModelError when config.json names no head, and the file may hold one."""
    if unused and not _architectures(config) and not (path / "modules.json").is_file():
        raise ModelError(
            f"model {path}: config.json names no architectures, and {min(unused)} in the file may be of a head. "
            "Say what it is for with --task; feature-extraction leaves such tensors out"
        )


def _architectures(config: Mapping[str, Any]) -> tuple[str, ...]:
    found = config.get("architectures") or ()
    return (found,) if isinstance(found, str) else tuple(map(str, found))


def labels_of(config: Mapping[str, Any], path: Path, adapters: Sequence[Path]) -> tuple[str, ...]:
    """Labels by output, from an adapter's config.json or the model's; () where neither names any.

    Raises:
        ModelError: not a table of numbers to names, or a name that occurs twice.
    """
    configs = [read_json(a / "config.json") for a in adapters if (a / "config.json").is_file()] + [config]
    for candidate in configs:
        table = candidate.get("id2label")
        if not table:
            continue
        if not isinstance(table, Mapping) or not all(str(key).isdecimal() for key in table):
            raise ModelError(
                f'model {path}: id2label is not a table of numbers to labels: expected {{"0": "first", "1": "second"}}'
                f", got {str(table)[:80]}. Correct config.json"
            )
        names = tuple(str(table[key]) for key in sorted(table, key=int))
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ModelError(
                f"model {path}: id2label gives {twice[0]!r} to more than one output, so results couldn't be told "
                "apart: give each output a name of its own (--labels A,B,…)"
            )
        return names
    return ()


def numbering_note(config: Mapping[str, Any]) -> str | None:
    """A note where id2label doesn't count 0, 1, 2…; its order is taken then."""
    table = config.get("id2label")
    numbers = sorted(map(int, table)) if isinstance(table, Mapping) else []
    if numbers == list(range(len(numbers))):
        return None
    return (
        f"id2label counts {', '.join(map(str, numbers[:8]))}: taken in that order for outputs 0 to {len(numbers) - 1}"
    )


def names_for_head(labels: tuple[str, ...], module: torch.nn.Module, task: str) -> tuple[str, ...]:
    """``labels`` where there is one an output, else LABEL_0, LABEL_1…; () for tasks without labels."""
    if not get_task(TaskSpec(task)).labels_of_head:
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
