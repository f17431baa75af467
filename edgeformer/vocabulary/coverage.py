"""What trimming does to texts: the promise checked on every text of the corpora, and the growth of held-out text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ModelError
from .tokenizer_file import TokenizerFile


def count_tokens(file: TokenizerFile, texts: Sequence[str]) -> Counter[int]:
    """How often each id occurs in the texts, special tokens not counted."""
    used: Counter[int] = Counter()
    for ids in file.encode(texts):
        used.update(ids)
    return used


def check_corpus(
    before: TokenizerFile, after: TokenizerFile, new_ids: Mapping[int, int], texts: Sequence[str]
) -> dict[str, Any]:
    """Encode every text again; facts on how many tokens and texts are as before.

    Raises:
        ModelError: a text that consists of kept and known tokens is now encoded otherwise.
    """
    kept = total = same = 0
    for text, old, new in zip(texts, before.encode(texts), after.encode(texts), strict=True):
        mapped = [new_ids[index] for index in old if index in new_ids]
        total += len(old)
        kept += len(mapped)
        same += new == mapped and len(mapped) == len(old)
        if len(mapped) == len(old) and new != mapped and before.unknown_id not in old:
            raise ModelError(
                f"tokenizer.json: {text[:60]!r} consists of kept tokens, but is now encoded otherwise. "
                "Leave trim_vocabulary out, and report this tokenizer"
            )
    return {
        "texts": len(texts),
        "tokens": total,
        "share_of_tokens_kept": kept / total if total else None,
        "share_of_texts_unchanged": same / len(texts),
    }


def held_out_growth(before: TokenizerFile, after: TokenizerFile, texts: Sequence[str], source: str) -> dict[str, Any]:
    """Mean tokens a text before and after (special tokens not counted, uncut), and unknown tokens, on unseen texts."""
    old = list(before.encode(texts))
    new = list(after.encode(texts))
    tokens_before, tokens_after = sum(map(len, old)), sum(map(len, new))
    return {
        "source": source,
        "texts": len(texts),
        "mean_tokens_before": tokens_before / len(texts),
        "mean_tokens_after": tokens_after / len(texts),
        "growth": tokens_after / tokens_before - 1 if tokens_before else None,
        "share_of_texts_longer": sum(len(b) > len(a) for a, b in zip(old, new, strict=True)) / len(texts),
        "unknown_tokens_before": _unknown(before, old),
        "unknown_tokens_after": _unknown(after, new),
    }


def _unknown(file: TokenizerFile, encoded: Sequence[Sequence[int]]) -> int | None:
    return None if file.unknown_id is None else sum(ids.count(file.unknown_id) for ids in map(list, encoded))
