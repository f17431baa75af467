"""Numbers and answers of a row: what isn't a label."""

from __future__ import annotations

import math
from typing import Any

from ..errors import SamplesError


def number(value: Any, column: str, where: str) -> float | None:
    """A finite number, None for an empty cell; raises SamplesError for anything else."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        found = float("no" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SamplesError(f"samples {where}: {column}: expected a number, got {value!r:.60}") from error
    if not math.isfinite(found):
        raise SamplesError(f"samples {where}: {column}: expected a finite number, got {value!r:.60}")
    return found


def answers(value: Any, column: str, where: str) -> list[str] | None:
    """Answer texts: a text, a list of texts, or SQuAD's {"text": [...], "answer_start": [...]}."""
    if value is None or value == "":
        return None
    found = value.get("text") if isinstance(value, dict) else value
    return strings([found] if isinstance(found, str) else found, column, where)


def strings(value: Any, column: str, where: str) -> list[str]:
    """A list of texts; raises SamplesError for anything else."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SamplesError(f"samples {where}: {column}: expected a list of strings, got {value!r:.60}")
    for item in value:
        check_text(item, column, where)
    return value


def check_text(value: Any, column: str, where: str) -> str:
    """A text that a tokenizer can take; raises SamplesError for anything else."""
    if not isinstance(value, str):
        raise SamplesError(f"samples {where}: {column}: texts must be strings, got {value!r:.60}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise SamplesError(
            f"samples {where}: {column}: holds half of a surrogate pair, which is no character"
        ) from error
    return value
