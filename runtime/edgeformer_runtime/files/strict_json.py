"""JSON that somebody else wrote: what is ambiguous, endless or huge is refused before it costs anything.

The only exception that leaves this file is RuntimeBundleError.
"""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, NoReturn, Tuple, Union

from ..errors import RuntimeBundleError
from .json_nesting import MAX_DEPTH, nests_deeper

MAX_MANIFEST_BYTES = 8 << 20  # a bundle of 10,000 files has 2 MB
MAX_VALUES = 300_000  # of one document: parsed, a value takes up to 200 bytes
MAX_DIGITS = 19  # of an integer: more than that doesn't fit 64 bits


def read_json(text: Union[str, bytes], what: str = "manifest.json", max_bytes: int = MAX_MANIFEST_BYTES) -> Any:
    """JSON data of ``text``: no duplicate keys, no NaN, no deep nesting, no number beyond 64 bits.

    ``what`` names the document in messages. Raises RuntimeBundleError.
    """
    if len(text) > max_bytes:
        refuse(f"{what} has {len(text)} bytes: expected at most {max_bytes}")
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        # Commas inside strings count too, so this is an upper bound, taken before anything is built.
        values = text.count(",") + text.count("[") + text.count("{") + 1
        if values > MAX_VALUES:
            refuse(f"{what} holds up to {values} values: expected at most {MAX_VALUES}")
        if nests_deeper(text):
            _refuse_depth(what)
        value = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        refuse(f"{what} is not JSON ({error}): the file is damaged, get the bundle again")
    check_json_data(value, what)
    return value


def check_json_data(value: Any, what: str = "manifest.json") -> None:
    """Raise RuntimeBundleError unless ``value`` is plain JSON data within the limits of this file."""
    pending: List[Tuple[Any, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH:
            _refuse_depth(what)
        if isinstance(item, dict):
            for key, child in item.items():
                if not isinstance(key, str):
                    refuse(f"{what}: key {key!r} isn't a string")
                _check_scalar(key, what)
                pending.append((child, depth + 1))
        elif isinstance(item, (list, tuple)):
            pending.extend((child, depth + 1) for child in item)
        else:
            _check_scalar(item, what)


def refuse(message: str) -> NoReturn:
    """Raise RuntimeBundleError."""
    raise RuntimeBundleError(message, code="json")


def _refuse_depth(what: str) -> NoReturn:
    refuse(f"{what} is nested too deeply: expected at most {MAX_DEPTH} levels")


def _unique_keys(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    result: Dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"key {key[:80]!r} occurs twice in one object")
        result[key] = value
    return result


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"integer of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is beyond the range of a double")
    return value


def _check_scalar(value: Any, what: str) -> None:
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            refuse(f"{what}: string {value[:80]!r} is not valid Unicode")
    elif isinstance(value, float):
        if not math.isfinite(value):
            refuse(f"{what}: number {value} is not finite")
    elif isinstance(value, int):
        if not -(10**MAX_DIGITS) < value < 10**MAX_DIGITS:
            refuse(f"{what}: an integer has more than {MAX_DIGITS} digits")
    elif value is not None:
        refuse(f"{what}: {type(value).__name__} is not JSON data")
