"""Reading JSON data that somebody else wrote, field by field: each reader takes a value and its place, and names both.

A place is a text like "manifest.json: variants[1].lengths"; that of a whole document ends with ": ".
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, NoReturn, Optional, Tuple, TypeVar

from ..errors import RuntimeBundleError
from .paths import check_relative_path

T = TypeVar("T")
_REQUIRED: Any = object()
MAX_INTEGER = (1 << 63) - 1  # of every integer field: what 64 bits hold
_CONTROL = re.compile("[\x00-\x1f]")


class UnknownPartError(RuntimeBundleError):
    """A part of a document is of a kind that this release doesn't know; it may be skipped where the rest makes sense.

    ``reason`` is the message without the place.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{top(where)}: {reason}", code="manifest")
        self.reason = reason


class Fields:
    """The keys of one JSON object, taken one by one; ``finish`` refuses those that nobody took."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            wrong(where, "an object", value)
        self._value: Dict[str, Any] = dict(value)
        self._where = where

    def take(self, key: str, read: Callable[[Any, str], T], default: Any = _REQUIRED) -> T:
        """The value at ``key`` as ``read`` gives it; ``default`` where the key is missing, an error without one."""
        where = below(self._where, key)
        if key in self._value:
            return read(self._value.pop(key), where)
        if default is _REQUIRED:
            document, _, place = where.partition(": ")
            refuse(f"{document}: key {place!r} is missing")
        return default  # type: ignore[no-any-return]

    def finish(self) -> None:
        """Raise UnknownPartError for keys that are left."""
        if self._value:
            unknown = ", ".join(repr(key[:80]) for key in self.left())
            raise UnknownPartError(self._where, f"unknown key {unknown}")

    def left(self) -> Tuple[str, ...]:
        """Keys that nobody took, at most five."""
        return tuple(sorted(self._value)[:5])


def below(where: str, key: str) -> str:
    """The place of ``key`` in the object at ``where``."""
    return where + key if where.endswith(": ") else f"{where}.{key}"


def top(where: str) -> str:
    """``where`` for a message: the whole of a document is its top level."""
    return where + "top level" if where.endswith(": ") else where


def refuse(message: str) -> NoReturn:
    """Raise RuntimeBundleError for a value that can't be."""
    raise RuntimeBundleError(message, code="manifest")


def wrong(where: str, expected: str, value: Any) -> NoReturn:
    """Raise RuntimeBundleError: what was expected at ``where``, and what was found."""
    got = repr(value) if isinstance(value, (str, int, float, bool)) else kind(value)
    refuse(f"{top(where)}: expected {expected}, got {got[:200]}")


def kind(value: Any) -> str:
    """JSON's word for the type of ``value``."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


# one reader a kind of value: each raises RuntimeBundleError


def string(value: Any, where: str) -> str:
    """Any text."""
    return value if isinstance(value, str) else wrong(where, "a string", value)


def name(value: Any, where: str) -> str:
    """A text that isn't empty and fits a line."""
    if not isinstance(value, str) or not value or _CONTROL.search(value):
        wrong(where, "a non-empty string without control characters", value)
    return value


def path(value: Any, where: str) -> str:
    """A path inside the bundle."""
    text = string(value, where)
    check_relative_path(text, where)
    return text


def boolean(value: Any, where: str) -> bool:
    """True or false."""
    return value if isinstance(value, bool) else wrong(where, "true or false", value)


def number(value: Any, where: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        wrong(where, "a number", value)
    return value


def not_negative(value: Any, where: str) -> int:
    """An integer from 0 to ``MAX_INTEGER``."""
    return _integer(value, where, 0)


def positive(value: Any, where: str) -> int:
    """An integer from 1 to ``MAX_INTEGER``."""
    return _integer(value, where, 1)


def _integer(value: Any, where: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        wrong(where, f"an integer of at least {least}", value)
    if value > MAX_INTEGER:
        wrong(where, f"an integer of at most {MAX_INTEGER}", value)
    return value


def at_most(limit: int) -> Callable[[Any, str], int]:
    """An integer from 1 to ``limit``."""

    def read_bounded(value: Any, where: str) -> int:
        if positive(value, where) > limit:
            wrong(where, f"an integer of at most {limit}", value)
        return int(value)

    return read_bounded


def sha256(value: Any, where: str) -> str:
    """64 lower-case hexadecimal digits."""
    if not isinstance(value, str) or re.fullmatch("[0-9a-f]{64}", value) is None:
        wrong(where, "64 lower-case hexadecimal digits", value)
    return value


def opaque(value: Any, where: str) -> Dict[str, Any]:
    """An object that is handed on as it is."""
    return value if isinstance(value, dict) else wrong(where, "an object", value)


def optional(read: Callable[[Any, str], T]) -> Callable[[Any, str], Optional[T]]:
    """Null, or what ``read`` takes."""
    return lambda value, where: None if value is None else read(value, where)


def list_of(read: Callable[[Any, str], T]) -> Callable[[Any, str], Tuple[T, ...]]:
    """A list of what ``read`` takes."""

    def read_list(value: Any, where: str) -> Tuple[T, ...]:
        if not isinstance(value, (list, tuple)):
            wrong(where, "a list", value)
        return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(value))

    return read_list


def object_of(read: Callable[[Any, str], T], most: int = 1000) -> Callable[[Any, str], Dict[str, T]]:
    """An object of at most ``most`` named values that ``read`` takes."""

    def read_object(value: Any, where: str) -> Dict[str, T]:
        if not isinstance(value, dict) or len(value) > most:
            wrong(where, f"an object of at most {most} values", value)
        return {name(key, where): read(item, below(where, key[:80])) for key, item in value.items()}

    return read_object


def one_of(choices: Tuple[str, ...]) -> Callable[[Any, str], str]:
    """One of several texts."""

    def read_choice(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in choices:
            wrong(where, f"one of {', '.join(choices)}", value)
        return value

    return read_choice
