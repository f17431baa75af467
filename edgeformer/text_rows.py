"""Which inputs a row of text becomes: what the tokenizer makes of one text and of two, and the model takes of it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path

import torch

from .errors import ModelError
from .tokenizer_files import LoadedTokenizer


@dataclass(frozen=True)
class TextRow:
    """Names of a model's inputs, whether they carry all that a pair of texts needs, and what is left out."""

    inputs: tuple[str, ...]
    pairs: bool
    notes: tuple[str, ...] = ()


def embedding_rows(module: torch.nn.Module) -> int:
    """Rows of the table of token ids; raises ModelError for a model that has none."""
    getter = getattr(module, "get_input_embeddings", None)
    table = getter() if callable(getter) else None
    rows = getattr(table, "num_embeddings", None)
    return int(rows) if rows is not None else int(getattr(module.config, "vocab_size", 0))


def takes_types(module: torch.nn.Module) -> bool:
    """Whether token types other than 0 change what the model computes: it has an input for them, and a row each."""
    count = getattr(module.config, "type_vocab_size", None)  # families without a table of types have no such number
    return _has_input(module) and (count is None or int(count) > 1)


def row_of(
    module: torch.nn.Module, tokenizer: LoadedTokenizer | None, task: str, pair: bool, directory: Path
) -> TextRow:
    """The row for a task; ``pair`` says that two texts are read together.

    Token types are an input where the tokenizer makes others than 0 and the model uses them; all types being 0 is what
    a model assumes without the input. Raises ModelError where pairs are wanted and the tokenizer can't make them.
    """
    types = takes_types(module)
    names = ("input_ids", "attention_mask")
    if tokenizer is None:
        return TextRow((*names, "token_type_ids") if types and pair else names, False, (_no_tokenizer(directory),))
    if pair and not tokenizer.pairs:
        raise ModelError(f"model {directory}: its tokenizer makes no row of two texts, so it can't take pairs")
    fed = types and (tokenizer.single_types or (pair and tokenizer.pair_types))
    notes = list(tokenizer.notes)
    if pair and tokenizer.pair_types and not types and _has_input(module):
        notes.append("the tokenizer gives a second text another token type; the model has one type: none is fed")
    if pair and fed and not tokenizer.types_by_default:
        notes.append(
            "a second text's token types are fed, as the tokenizer's file makes them; transformers 5 leaves them out "
            "for this class unless asked (return_token_type_ids=True)"
        )
    # a model of embeddings reads two texts one after the other, unless the caller wants one embedding of both
    possible = task != "token-classification" and (pair or task != "feature-extraction")
    pairs = possible and tokenizer.pairs and (fed or not (types and tokenizer.pair_types))
    return TextRow((*names, "token_type_ids") if fed else names, pairs, tuple(notes))


def _has_input(module: torch.nn.Module) -> bool:
    return "token_type_ids" in inspect.signature(module.forward).parameters


def _no_tokenizer(directory: Path) -> str:
    name = "tokenizer_config.json"
    there = f" ({name} is there, the file of its vocabulary isn't)" if (directory / name).is_file() else ""
    return (
        f"no tokenizer in {directory.name}{there}: the bundle takes token ids (Session.run), no text. Put "
        "tokenizer.json, or the file of its vocabulary, into the directory where it should take text"
    )
