"""load_model(): from a directory, as people save models, to a Model that computes what its own library computes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..attention import keep_windows
from ..errors import ModelError
from ..exportable import make_exportable
from ..lora import Adapter, fit_base, labels_for_head, read_adapter, tokenizer_directory
from ..model.base import Model
from ..model.files import read_json
from ..model.signature import Signature, TextInput
from ..model.tokenizer_files import check_ids, load_tokenizer
from ..sentences.attach import attach_sentence_layers
from ..sentences.cross_encoder import says_cross_encoder
from ..sentences.describe import described_task
from ..sentences.files import encoder_directory, read_sentence_files
from ..sentences.setfit import SetFitHead, attach_setfit_head, is_setfit, read_setfit_head
from ..sentences.settings import SentenceSettings, lower_cased
from ..tasks import get_task
from ..tasks.module import TaskOptions, input_specs
from .checkpoint import Checkpoint, load_checkpoint
from .config_check import check_family
from .family_inputs import check_inputs
from .heads import (
    AUTO_CLASSES,
    check_nothing_lost,
    labels_for_width,
    labels_of,
    names_for_head,
    numbering_note,
    task_of,
)
from .mask_check import own_forward, with_mask
from .model_directory import model_directory
from .quantized_checkpoint import refuse_integer_weights, refuse_quantized
from .text_rows import Pairs, embedding_rows, row_of
from .weight_files import check_weights, stored_tensors
from .weights_check import check_finite


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
    allow_pickle: bool = False


@dataclass(frozen=True)
class _Files:
    """A directory whose files were looked at, and its adapters'. ``path`` is the encoder's folder in ``given``."""

    given: Path
    path: Path
    config: Mapping[str, Any]
    adapters: tuple[Path, ...]
    parts: tuple[Adapter, ...]
    head: SetFitHead | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Weights:
    """A module with its weights, the names of its outputs, and the folder of the tokenizer that goes with it."""

    module: torch.nn.Module
    labels: tuple[str, ...]
    tokenizer: Path
    untrained: frozenset[str]
    notes: tuple[str, ...]


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
    allow_pickle: bool = False,
) -> Model:
    """Load a Hugging Face directory (config.json, model.safetensors, tokenizer.json).

    The task is ``task``, else the adapters' ``task_type``, else what ``architectures`` in config.json says. Labels are
    ``labels``, else ``id2label`` of an adapter's or of the model's config.json. ``pair``: a row is two texts that the
    model reads together. ``pair_rows``: so are the rows of a file, unless the task is feature extraction, which reads
    each of the two alone.

    Raises:
        ModelError: files missing or damaged, a pickle without ``allow_pickle``, an unknown family or task.
    """
    asked = Asked(task, tuple(labels), pair, pair_rows, pooling, normalize, dimensions, allow_pickle)
    files = _read_files(directory, adapters, asked)
    name = _task_name(files, asked)
    weights = _read_weights(files, name, asked)
    model = _described(files, weights, name, asked)
    check_finite(model)
    check_inputs(model.module, model.name, model.architecture)
    own = own_forward(model)  # before anything in the module is written otherwise
    keep_windows(model.module, name)
    make_exportable(model.module)
    return with_mask(model, own)


def _read_files(directory: str | os.PathLike[str], adapters: Sequence[Path], asked: Asked) -> _Files:
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
    return _Files(given, path, config, tuple(adapters), parts, head, tuple(notes))


def _task_name(files: _Files, asked: Asked) -> str:
    configs = [read_json(adapter / "adapter_config.json") for adapter in files.adapters]
    name = "text-classification" if files.head else asked.task or task_of(files.given, files.config, configs)
    if name not in AUTO_CLASSES:
        raise ModelError(f"task {name!r}: expected one of {', '.join(AUTO_CLASSES)}")
    return name


def _read_weights(files: _Files, task: str, asked: Asked) -> _Weights:
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
    return _Weights(
        module=loaded.module,
        labels=names if files.head else names_for_head(names, loaded.module, task),
        tokenizer=tokenizer,
        untrained=loaded.untrained | change.untrained,
        notes=(*loaded.notes, *change.notes, *label_notes, *tokenizer_notes),
    )


def _with_labels(files: _Files, task: str, asked: Asked) -> tuple[Checkpoint, tuple[str, ...]]:
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


def _described(files: _Files, weights: _Weights, task: str, asked: Asked) -> Model:
    """The Model: task, layers behind the encoder, inputs, tokenizer, and what sentence-transformers' files say."""
    head, names = files.head, weights.labels
    spec = TaskSpec(
        name=task,
        labels=names if "classification" in task else (),
        multi_label=head.multi_label if head else files.config.get("problem_type") == "multi_label_classification",
        regression=get_task(TaskSpec(task)).regresses and len(names) == 1,
    )
    pools = task == "feature-extraction" or head is not None
    spec, settings, said = described_task(
        spec, files.given, files.path, files.config, pools=pools, dimensions=asked.dimensions
    )
    options, width = _layers_behind(files, weights, settings, asked) if pools else (TaskOptions(), len(names))
    unused = ("SetFit's head is not used",) if head is None and is_setfit(files.given) else ()
    cross = task == "text-classification" and not pools and says_cross_encoder(files.config, settings)
    pair = asked.pair or task == "question-answering" or (asked.pair_rows and task != "feature-extraction")
    model = _assemble(files, weights, spec, options, Pairs(pair or cross, cross), width)
    notes = (*files.notes, *weights.notes, *said, *unused, *model.notes)
    return replace(with_text_settings(model, settings), name=files.given.resolve().name, notes=notes)


def _layers_behind(
    files: _Files, weights: _Weights, settings: SentenceSettings, asked: Asked
) -> tuple[TaskOptions, int]:
    """Put the layers behind the encoder (pooling, Dense, SetFit's head) into the module; their options and width."""
    known: Any = weights.module.config.get_text_config()  # type: ignore[operator, union-attr]
    options, width = attach_sentence_layers(
        weights.module,
        read_sentence_files(files.given),
        settings,
        hidden_size=int(getattr(known, "hidden_size", None) or getattr(known, "dim", None) or 0),
        pooling=asked.pooling,
        normalize=asked.normalize,
        allow_pickle=asked.allow_pickle,
    )
    return (options, width) if files.head is None else attach_setfit_head(weights.module, options, width, files.head)


def _assemble(
    files: _Files, weights: _Weights, task: TaskSpec, options: TaskOptions, pairs: Pairs, width: int
) -> Model:
    path, module = files.path, weights.module
    known: Any = module.config.get_text_config()  # type: ignore[operator, union-attr]  # knows every family's own names
    pad = max(0, int(getattr(known, "pad_token_id", None) or 0))
    text = load_tokenizer(weights.tokenizer, module.config)
    if text is not None:
        text = replace(text, json=check_ids(text.json, embedding_rows(module), weights.tokenizer))
    row = row_of(module, text, task.name, pairs, path)
    example = torch.arange(2 * 16).reshape(2, 16) % 97 + 5  # any valid tokens: tracing needs shapes, not meaning
    zeros = torch.zeros_like(example)
    return Model(
        module=module,
        name=path.resolve().name,
        signature=Signature(
            task,
            input_specs(row.inputs, pad),
            get_task(task).output_specs(width),
            None if text is None else TextInput(text.json, row.pairs, text.truncation, text.max_length),
            int(getattr(module.config, "vocab_size", 1000)),
        ),
        example_inputs=(example, torch.ones_like(example), zeros)[: len(row.inputs)],
        options=options,
        architecture=str(files.config.get("model_type", "generic")),
        max_length=_max_length(module, known),
        untrained=weights.untrained,
        provenance={"model": path.resolve().name, "config": json.dumps(files.config, sort_keys=True)},
        notes=row.notes,
    )


def with_text_settings(model: Model, settings: SentenceSettings) -> Model:
    """The model with what sentence-transformers does to a text before and while it is tokenized."""
    text = model.signature.text
    if text is None:
        return model
    return model.with_text(
        tokenizer=lower_cased(text.tokenizer) if settings.lower_case else text.tokenizer,
        max_length=settings.max_tokens or text.max_length,
        prompts=settings.prompts,
        default_prompt=settings.default_prompt,
    )


def _max_length(module: torch.nn.Module, config: Any) -> int | None:
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None)
    if type(positions) is not int or positions < 1:  # some families write -1 for "any"
        return None
    if getattr(config, "attention_type", None) == "block_sparse":
        # BigBird attends to everything up to here; beyond, to random blocks, which would be other ones in each file
        return min(positions, (5 + 2 * int(config.num_random_blocks)) * int(config.block_size))
    # RoBERTa and its children count positions from padding_idx + 1 on, so the first rows are never used
    offsets = [
        int(table.padding_idx) + 1
        for path, table in module.named_modules()
        if path.endswith("position_embeddings") and getattr(table, "padding_idx", None) is not None
    ]
    return positions - max(offsets, default=0)
