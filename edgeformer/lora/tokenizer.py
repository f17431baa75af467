"""Which tokenizer goes with the adapters: the base model's, or the one that training left beside an adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ..errors import AdapterError
from ..model.tokenizer_files import own_vocabulary
from .adapter import Adapter
from .base_model import input_embedding


def tokenizer_directory(
    base: Path, adapters: Sequence[Adapter], module: nn.Module, *, resized: bool
) -> tuple[Path, tuple[str, ...]]:
    """The directory whose tokenizer is used, and a note where it isn't ``base``.

    An adapter's tokenizer counts where it has tokens more than the base's; equal ones are the base's.

    Args:
        base: the base model's directory.
        adapters: the adapters that will be merged.
        module: the base model, with as many rows of tokens as it will have then (``fit_base``).
        resized: an adapter changed the number of these rows.

    Raises:
        AdapterError: a tokenizer that gives tokens other ids than the base's (the adapter belongs to another base), two
            adapters with different tokens, or a token without a row.
    """
    chosen, known = base, own_vocabulary(base, module.config) if adapters else None
    notes: tuple[str, ...] = ()
    embedding = input_embedding(module)
    rows = None if embedding is None else embedding.num_embeddings
    for adapter in adapters:
        found = own_vocabulary(adapter.path, module.config)
        if found is None and resized:
            notes += (
                f"{adapter.name}: no tokenizer beside it: the base's may not know the tokens that it has rows for",
            )
        if found is None or found == known:
            continue
        known = known or {}
        other = next((token for token, number in found.items() if known.get(token, number) != number), None)
        added = sorted(found.keys() - known.keys(), key=found.__getitem__)
        lost = sorted(known.keys() - found.keys())
        if other is not None or (added and lost):
            how = (
                f"gives {other!r} the id {found[other]}, that of {chosen} {known[other]}"
                if other is not None
                else f"has {added[0]!r} but not {lost[0]!r}, that of {chosen} the other way round"
            )
            raise AdapterError(
                f"adapter {adapter.path}: its tokenizer {how}: it was trained on another base model, or beside another "
                "adapter. Give the base that it was trained on"
            )
        if not added:
            continue
        if rows is not None and found[added[-1]] >= rows:
            raise AdapterError(
                f"adapter {adapter.path}: its tokenizer gives {added[-1]!r} the id {found[added[-1]]}, but neither the "
                f"base nor it has a row for it (the table has {rows}): the rows that training gave to added tokens "
                "weren't saved. Save the adapter with save_pretrained(dir, save_embedding_layers=True)"
            )
        chosen, known = adapter.path, found
        noun = "token" if len(added) == 1 else "tokens"
        notes += (f"tokenizer of {adapter.name}: {len(added)} {noun} more than the base's ({', '.join(added[:5])})",)
    return chosen, notes
