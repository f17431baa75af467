"""Which tokens stay: first what must, then what the corpora use most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from ..errors import RecipeError
from .tokenizer_file import TokenizerFile


@dataclass(frozen=True)
class Selection:
    """Ids of the tokens that stay, ascending, how many each rule brought, and why all stay where they must."""

    ids: tuple[int, ...]
    counts: dict[str, int]
    kept_all_because: str | None = None

    @property
    def new_ids(self) -> dict[int, int]:
        """Old id → new id: the order stays."""
        return {old: new for new, old in enumerate(self.ids)}


def select(
    file: TokenizerFile,
    used: Counter[int],
    required: Collection[int],
    *,
    min_count: int,
    max_tokens: int | None,
    keep_first: int,
) -> Selection:
    """Required and essential tokens, those used ``min_count`` times or more, and the first ``keep_first``.

    With ``max_tokens`` the most used come first (on equal counts the lower id); a token that needs more room for the
    parts it is made of than is left is passed over.

    Raises:
        RecipeError: ``max_tokens`` is less than the tokens that must stay.
    """
    names = {index: token for token, index in file.ids.items()}
    kept: set[int] = set()
    counts: dict[str, int] = {}

    def add(rule: str, candidates: Collection[int], limit: int | None) -> None:
        before = len(kept)
        for index in candidates:
            support = _support(file, names, index) - kept
            if limit is None or len(kept) + len(support) <= limit:
                kept.update(support)
        counts[rule] = len(kept) - before

    add("special_and_configured", sorted(required), None)
    add("characters_and_essential", sorted(file.ids[piece] for piece in file.vocabulary.essential()), None)
    if max_tokens is not None and len(kept) > max_tokens:
        raise RecipeError(
            f"trim_vocabulary: max_tokens = {max_tokens}: {len(kept)} tokens must stay (special tokens, and all "
            f"characters or bytes, so that no text becomes unreadable). Give {len(kept)} or more"
        )
    often = sorted((index for index, count in used.items() if count >= min_count), key=lambda i: (-used[i], i))
    add("used", often, max_tokens)
    add("first", sorted(index for index in names if index < keep_first), max_tokens)
    unsafe = file.vocabulary.unsafe([names[index] for index in kept if names[index] in file.vocabulary.ids])
    if unsafe is not None:
        return Selection(tuple(sorted(names)), counts, unsafe)
    return Selection(tuple(sorted(kept)), counts)


def _support(file: TokenizerFile, names: dict[int, str], index: int) -> set[int]:
    name = names[index]
    if name not in file.vocabulary.ids:
        return {index}  # an added token
    return {file.ids[piece] for piece in file.vocabulary.support(name)}
