"""What Python's `tokenizers` makes of a case: the reference for every other language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer


def case_of(
    text: int,
    second: int | None = None,
    max_length: int | None = None,
    strategy: str = "longest_first",
    direction: str = "right",
) -> dict[str, Any]:
    """Texts by their place in the list, and how they are cut."""
    return {"text": text, "second": second, "max_length": max_length, "strategy": strategy, "direction": direction}


def answer(tokenizer: Tokenizer, texts: Sequence[str], case: dict[str, Any]) -> dict[str, Any]:
    """``case`` with ids, types, offsets (one list), words, sequences and how many tokens were cut; or with an error."""
    tokenizer.no_truncation()
    if case["max_length"] is not None:
        tokenizer.enable_truncation(case["max_length"], strategy=case["strategy"], direction=case["direction"])
    second = case["second"]
    try:
        encoding = tokenizer.encode(texts[case["text"]], None if second is None else texts[second])
    except BaseException as error:  # `tokenizers` raises plain Exception, and panics
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return {**case, "error": str(error)}
    return {
        **case,
        "ids": encoding.ids,
        "types": encoding.type_ids,
        "offsets": [place for offsets in encoding.offsets for place in offsets],
        "words": encoding.word_ids,
        "sequences": encoding.sequence_ids,
        "truncated": len(encoding.overflowing) > 0,
    }
