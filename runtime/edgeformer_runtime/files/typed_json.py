"""JSON data as the dataclasses that it was made from: every type is checked, nothing is guessed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Dict, Tuple, Type, TypeVar, Union, get_type_hints

from ..errors import InputError, RuntimeBundleError
from .json_fields import MAX_INTEGER, UnknownPartError

T = TypeVar("T")


class DecodeError(ValueError):
    """A value isn't what the field says; the message names the field."""


class UnknownKeyError(DecodeError):
    """A key is no field. ``where``: the object that has it; ``reason``: the message without it."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where, self.reason = where, reason


def decode(kind: Type[T], data: Any, where: str, unknown: str = "refuse") -> T:
    """``data`` (a dict) as the dataclass ``kind``. Raises DecodeError, and what its ``__post_init__`` raises.

    A field with a default may be missing. Keys that are no field are an error, or left out with unknown="ignore".
    """
    if not isinstance(data, dict):
        raise DecodeError(f"{where}: expected an object, got {type(data).__name__}")
    hints = get_type_hints(kind)
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    values: Dict[str, Any] = {}
    for name, item in known.items():
        if name in data:
            values[name] = _value(hints[name], data[name], f"{where}.{name}")
        elif item.default is MISSING and item.default_factory is MISSING:
            raise DecodeError(f"{where}.{name}: is missing")
    strange = sorted(set(data) - set(known))
    if strange and unknown == "refuse":  # last: where a known key is wrong, that is the error
        raise UnknownKeyError(where, f"unknown key {', '.join(repr(str(key)[:80]) for key in strange[:5])}")
    return kind(**values)


def decode_part(kind: Type[T], data: Any, where: str) -> T:
    """``decode`` of a part of a manifest. Raises UnknownPartError for a key that is no field, however deep it lies, and
    RuntimeBundleError for what else is wrong.
    """
    try:
        return decode(kind, data, where)
    except UnknownKeyError as error:
        raise UnknownPartError(error.where, error.reason) from None
    except (DecodeError, InputError) as error:
        place = "" if isinstance(error, DecodeError) else f"{where}: "
        raise RuntimeBundleError(f"{place}{error}", code="manifest") from error


def _value(hint: Any, data: Any, where: str) -> Any:
    origin: Any = getattr(hint, "__origin__", None)
    parts: Tuple[Any, ...] = getattr(hint, "__args__", ())
    if origin is Union:  # Optional
        if data is None:
            return None
        (inner,) = (part for part in parts if part is not type(None))
        return _value(inner, data, where)
    if origin is tuple:
        return _tuple(parts, data, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(data, dict):
            raise DecodeError(f"{where}: expected an object, got {type(data).__name__}")
        return {key: _value(parts[1], item, f"{where}.{str(key)[:60]}") for key, item in data.items()}
    if is_dataclass(hint):
        return decode(hint, data, where)  # type: ignore[arg-type]
    return _scalar(hint, data, where)


def _tuple(parts: Tuple[Any, ...], data: Any, where: str) -> Tuple[Any, ...]:
    if not isinstance(data, (list, tuple)):
        raise DecodeError(f"{where}: expected a list, got {type(data).__name__}")
    if len(parts) == 2 and parts[1] is Ellipsis:
        return tuple(_value(parts[0], item, f"{where}[{index}]") for index, item in enumerate(data))
    if len(parts) != len(data):
        raise DecodeError(f"{where}: expected {len(parts)} values, got {len(data)}")
    return tuple(_value(part, item, f"{where}[{index}]") for index, (part, item) in enumerate(zip(parts, data)))


def _scalar(hint: Any, data: Any, where: str) -> Any:
    wrong_bool = isinstance(data, bool) and hint is not bool
    if hint is float and isinstance(data, (int, float)) and not wrong_bool and _finite(data):
        return float(data)
    is_too_large = hint is int and isinstance(data, int) and not -MAX_INTEGER - 1 <= data <= MAX_INTEGER
    if hint in (int, str, bool) and isinstance(data, hint) and not wrong_bool and not is_too_large:
        return data
    raise DecodeError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {str(data)[:60]!r}")


def _finite(number: Union[int, float]) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond every float
        return False
