"""Which inputs a row of text becomes: what the tokenizer makes of one text and of two, and the model takes of it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import ModelError
from ..model.tokenizer_files import LoadedTokenizer


@dataclass(frozen=True)
class TextRow:
    """Names of a model's inputs, whether they carry all that a pair of texts needs, and what is left out."""

    inputs: tuple[str, ...]
    pairs: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """``wanted``: two texts are read together. ``by_default``: as ``tokenizer(a, b)`` makes them in the installed
    transformers, which cross-encoders of sentence-transformers are run with; else with all types of the tokenizer.
    """

    wanted: bool
    by_default: bool = False


def embedding_rows(module: torch.nn.Module) -> int:
    """Rows of the table of token ids; raises ModelError for a model that has none."""
    getter = getattr(module, "get_input_embeddings", None)
    try:
        table = getter() if callable(getter) else None
    except NotImplementedError:  # CANINE hashes characters: it has no table of tokens
        table = None
    rows = getattr(table, "num_embeddings", None)
    config = module.config.get_text_config()  # type: ignore[operator, union-attr]  # of two towers, the text's
    return int(rows) if rows is not None else int(getattr(config, "vocab_size", 0))


def takes_types(module: torch.nn.Module) -> bool:
    """Whether token types other than 0 change what the model computes: it has an input for them, and a row each."""
    count = getattr(module.config, "type_vocab_size", None)  # families without a table of types have no such number
    return _has_input(module) and (count is None or int(count) > 1)


def row_of(
    module: torch.nn.Module, tokenizer: LoadedTokenizer | None, task: str, pairs: Pairs, directory: Path
) -> TextRow:
    """The row for a task.

    Token types are an input where the tokenizer makes others than 0 and the model uses them; all types being 0 is what
    a model assumes without the input. Raises ModelError where pairs are wanted and the tokenizer can't make them.
    """
    takes, names = takes_types(module), ("input_ids", "attention_mask")
    if tokenizer is None:
        wanted = takes and pairs.wanted
        return TextRow((*names, "token_type_ids") if wanted else names, False, (_no_tokenizer(directory),))
    if pairs.wanted and not tokenizer.pairs:
        raise ModelError(f"model {directory}: its tokenizer makes no row of two texts, so it can't take pairs")
    needed = takes and tokenizer.pair_types and (tokenizer.types_by_default or not pairs.by_default)
    fed = (takes and tokenizer.single_types) or (needed and pairs.wanted)
    # a model of embeddings reads two texts one after the other, unless the caller wants one embedding of both
    possible = task != "token-classification" and (pairs.wanted or task != "feature-extraction")
    notes = (*tokenizer.notes, *_notes_on_types(module, tokenizer, fed)) if pairs.wanted else tokenizer.notes
    return TextRow(
        (*names, "token_type_ids") if fed else names, possible and tokenizer.pairs and (fed or not needed), notes
    )


def _notes_on_types(module: torch.nn.Module, tokenizer: LoadedTokenizer, fed: bool) -> list[str]:
    """What is said of token types that pairs have, where it isn't plain."""
    if not tokenizer.pair_types or not _has_input(module):
        return []
    if not takes_types(module):
        return ["the tokenizer gives a second text another token type; the model has one type: none is fed"]
    if tokenizer.types_by_default:
        return []
    done = "are fed, as its file makes them" if fed else "are left out, as CrossEncoder.predict does"
    return [
        f"a second text's token types {done}: transformers 5 leaves them out for this tokenizer's class unless asked "
        '(return_token_type_ids=True, or "token_type_ids" in model_input_names of tokenizer_config.json)'
    ]


def _has_input(module: torch.nn.Module) -> bool:
    return "token_type_ids" in inspect.signature(module.forward).parameters


def _no_tokenizer(directory: Path) -> str:
    name = "tokenizer_config.json"
    there = f" ({name} is there, the file of its vocabulary isn't)" if (directory / name).is_file() else ""
    return (
        f"no tokenizer in {directory.name}{there}: the bundle takes token ids (Session.run), no text. Put "
        "tokenizer.json, or the file of its vocabulary, into the directory where it should take text"
    )
