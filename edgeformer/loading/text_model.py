"""A model that reads texts: its tokenizer, what sentence-transformers does before and behind it, and its mask."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..attention import keep_windows
from ..errors import ModelError
from ..exportable import make_exportable
from ..model.base import Model
from ..model.signature import Signature, TextInput
from ..model.tokenizer_files import check_ids, load_tokenizer
from ..sentences.attach import attach_sentence_layers
from ..sentences.cross_encoder import says_cross_encoder
from ..sentences.describe import described_task
from ..sentences.files import read_sentence_files
from ..sentences.setfit import attach_setfit_head, is_setfit
from ..sentences.settings import SentenceSettings, lower_cased
from ..tasks import get_task
from ..tasks.module import TaskOptions, input_specs
from .family_inputs import check_inputs
from .mask_check import own_forward, with_mask
from .sources import Asked, Files, Weights, task_spec
from .text_rows import Pairs, embedding_rows, row_of
from .weights_check import check_finite


def describe_text(files: Files, weights: Weights, task: str, asked: Asked) -> Model:
    """The Model: task, layers behind the encoder, inputs, tokenizer, and what sentence-transformers' files say."""
    head, spec = files.head, task_spec(files, weights, task)
    pools = task == "feature-extraction" or head is not None
    stated = [name for name in ("pooling", "normalize") if getattr(asked, name) is not None]
    if stated and not pools:
        raise ModelError(f"task {task}: pools no tokens into a vector, got {', '.join(stated)}: leave that out")
    spec, settings, said = described_task(
        spec, files.given, files.path, files.config, pools=pools, dimensions=asked.dimensions
    )
    options, width = _layers_behind(files, weights, settings, asked) if pools else (TaskOptions(), len(weights.labels))
    unused = ("SetFit's head is not used",) if head is None and is_setfit(files.given) else ()
    cross = task == "text-classification" and not pools and says_cross_encoder(files.config, settings)
    pair = asked.pair or task == "question-answering" or (asked.pair_rows and task != "feature-extraction")
    model = _assemble(files, weights, spec, options, Pairs(pair or cross, cross), width)
    notes = (*files.notes, *weights.notes, *said, *unused, *model.notes)
    model = replace(with_text_settings(model, settings), name=files.given.resolve().name, notes=notes)
    check_finite(model)
    check_inputs(model.module, model.name, model.architecture)
    own = own_forward(model)  # before anything in the module is written otherwise
    keep_windows(model.module, task)
    make_exportable(model.module)
    return with_mask(model, own)


def _layers_behind(files: Files, weights: Weights, settings: SentenceSettings, asked: Asked) -> tuple[TaskOptions, int]:
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


def _assemble(files: Files, weights: Weights, task: TaskSpec, options: TaskOptions, pairs: Pairs, width: int) -> Model:
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
            () if text is None else (TextInput(text.json, row.pairs, text.truncation, text.max_length),),
            int(getattr(module.config, "vocab_size", 1000)),
        ),
        example_inputs=(example, torch.ones_like(example), zeros)[: len(row.inputs)],
        options=options,
        architecture=str(files.config.get("model_type", "generic")),
        max_length=longest_text(module, known),
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


def longest_text(module: torch.nn.Module, config: Any) -> int | None:
    """Tokens that the module's position embeddings allow; None for any."""
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
