"""load_model(): from a directory, as people save models, to a Model that computes what its own library computes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..errors import ModelError
from ..lora import fit_base, labels_for_head, read_adapter, tokenizer_directory
from ..model.base import Model
from ..model.files import read_json
from ..sentences.files import encoder_directory
from ..sentences.setfit import is_setfit, read_setfit_head
from ..tasks import get_task
from .checkpoint import Checkpoint, load_checkpoint
from .config_check import check_family
from .file_model import describe_files
from .heads import (
    AUTO_CLASSES,
    check_nothing_lost,
    labels_for_width,
    labels_of,
    names_for_head,
    numbering_note,
    task_of,
)
from .image_text_model import describe_image_text
from .model_directory import model_directory
from .quantized_checkpoint import refuse_integer_weights, refuse_quantized
from .sources import Asked, Files, Weights
from .text_model import describe_text
from .weight_files import check_weights, stored_tensors


def load_model(
    directory: str | os.PathLike[str],
    *,
    task: str | None = None,
    labels: Sequence[str] = (),
    adapters: Sequence[Path] = (),
    pair: bool = False,
    pair_rows: bool = False,
    pooling: str | None = None,
    normalize: bool | None = None,
    dimensions: int | None = None,
    hypothesis_template: str | None = None,
    allow_pickle: bool = False,
) -> Model:
    """Load a Hugging Face directory (config.json, model.safetensors, tokenizer.json).

    The task is ``task``, else the adapters' ``task_type``, else what ``architectures`` in config.json says. Labels are
    ``labels``, else ``id2label`` of an adapter's or of the model's config.json. ``pair``: a row is two texts that the
    model reads together. ``pair_rows``: so are the rows of a file, unless the task is feature extraction, which reads
    each of the two alone.

    Raises:
        ModelError: files missing or damaged, a pickle without ``allow_pickle``, an unknown family or task, labels that
            can't be told apart, labels or a template that the task has no use for.
    """
    asked = Asked(
        task, tuple(labels), pair, pair_rows, pooling, normalize, dimensions, hypothesis_template, allow_pickle
    )
    files = _read_files(directory, adapters, asked)
    name = _task_name(files, asked)
    _check_labels(name, asked)
    weights = _read_weights(files, name, asked)
    known = get_task(TaskSpec(name))
    if known.graphs:
        return describe_image_text(files, weights, name, asked)
    describe = describe_files if known.reads in ("image", "audio") else describe_text
    return describe(files, weights, name, asked)


def _read_files(directory: str | os.PathLike[str], adapters: Sequence[Path], asked: Asked) -> Files:
    """Everything that can be refused before anything heavy is loaded."""
    given = model_directory(directory)
    path = encoder_directory(given)
    config = read_json(path / "config.json")
    refuse_quantized(path, config)
    check_weights(path, allow_pickle=asked.allow_pickle)
    refuse_integer_weights(path, stored_tensors(path))
    notes = check_family(path, config)
    head = read_setfit_head(given) if is_setfit(given) and asked.task in (None, "text-classification") else None
    parts = tuple(read_adapter(adapter, allow_pickle=asked.allow_pickle) for adapter in adapters)
    return Files(given, path, config, tuple(adapters), parts, head, tuple(notes))


def _task_name(files: Files, asked: Asked) -> str:
    configs = [read_json(adapter / "adapter_config.json") for adapter in files.adapters]
    name = "text-classification" if files.head else asked.task or task_of(files.given, files.config, configs)
    if name == "image-text-similarity" and asked.task is None and asked.labels:
        name = "zero-shot-image-classification"
    if name not in AUTO_CLASSES:
        raise ModelError(f"task {name!r}: expected one of {', '.join(AUTO_CLASSES)}")
    return name


def _check_labels(task: str, asked: Asked) -> None:
    """Refuse what would fail after all the work, or be dropped without a word."""
    known, zero_shot = get_task(TaskSpec(task)), "zero-shot-image-classification"
    named = ", ".join(map(repr, asked.labels))
    if asked.labels and not (known.labels_of_head or task == zero_shot):
        instead = f", or take --task {zero_shot}" if known.graphs else ""
        raise ModelError(f"task {task}: has no labels, got {named}: leave --labels out{instead}")
    if len(set(asked.labels)) < len(asked.labels) or not all(label.strip() for label in asked.labels):
        raise ModelError(f"labels {named}: expected each once, and none empty")
    if asked.hypothesis_template is not None and task != zero_shot:
        raise ModelError(
            f"task {task}: has no hypothesis template, got {asked.hypothesis_template!r}: only the labels of "
            f"{zero_shot} are put into one. Leave --hypothesis-template out"
            + (", or name labels (--labels A,B,…)" if known.graphs and asked.task is None else "")
        )


def _read_weights(files: Files, task: str, asked: Asked) -> Weights:
    """The checkpoint, fitted to its adapters: their head's width, their rows of tokens and the tokenizer for them."""
    if files.head is None:
        loaded, names = _with_labels(files, task, asked)
    else:
        loaded = load_checkpoint(files.path, "feature-extraction", None, asked.allow_pickle)
        names = files.head.named(asked.labels)
    if asked.task is None and task == "feature-extraction":
        check_nothing_lost(files.given, files.config, loaded.unused)
    change = fit_base(loaded.module, files.parts)
    names, label_notes = labels_for_head(asked.labels, names, change, files.parts)
    resized = change.vocab_size is not None
    tokenizer, tokenizer_notes = tokenizer_directory(files.path, files.parts, loaded.module, resized=resized)
    return Weights(
        module=loaded.module,
        labels=names if files.head else names_for_head(names, loaded.module, task),
        tokenizer=tokenizer,
        untrained=loaded.untrained | change.untrained,
        notes=(*loaded.notes, *change.notes, *label_notes, *tokenizer_notes),
    )


def _with_labels(files: Files, task: str, asked: Asked) -> tuple[Checkpoint, tuple[str, ...]]:
    """The checkpoint with its head at its true width, and the labels known of it; the checkpoint's notes say how."""
    names = asked.labels or labels_of(files.config, files.path, files.adapters)
    loaded = load_checkpoint(files.path, task, len(names) or None, asked.allow_pickle)
    notes: list[str] = []
    if loaded.head_width is not None and asked.labels:  # an adapter may bring the head that the labels are for
        notes.append(
            f"the trained head in the file has {loaded.head_width} outputs, --labels names {len(asked.labels)}"
        )
    elif loaded.head_width is not None and not files.adapters:
        names, note = labels_for_width(files.path, names, loaded.head_width)
        notes.append(note)
        loaded = load_checkpoint(files.path, task, len(names), asked.allow_pickle)
    numbering = numbering_note(files.config) if names and not asked.labels else None
    notes += [numbering] if numbering else []
    return replace(loaded, notes=(*notes, *loaded.notes)), names
