"""Amounts as people write them: ``12MB``, ``1.5 MiB``, ``20ms``."""

from __future__ import annotations

import re

from ..errors import InputError

_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_MILLISECONDS = {"": 1.0, "ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}


def parse_bytes(text: str) -> int:
    """Bytes of ``12MB`` (10⁶), ``12MiB`` (2²⁰) or ``12000000``; raises InputError."""
    number, unit = _split(text, "size", "12MB, 11.5MiB or 12000000")
    if unit not in _BYTES:
        raise InputError(f"size {text!r}: unknown unit {unit!r}: expected B, kB, MB, GB, KiB, MiB or GiB")
    return round(number * _BYTES[unit])


def parse_milliseconds(text: str) -> float:
    """Milliseconds of ``20ms``, ``0.02s`` or ``20``; raises InputError."""
    number, unit = _split(text, "duration", "20ms or 0.02s")
    if unit not in _MILLISECONDS:
        raise InputError(f"duration {text!r}: unknown unit {unit!r}: expected us, ms or s")
    return number * _MILLISECONDS[unit]


def _split(text: str, what: str, examples: str) -> tuple[float, str]:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-zµ]*)\s*", text)
    if match is None or float(match[1]) == 0:
        raise InputError(f"{what} {text!r}: expected an amount above 0 such as {examples}")
    return float(match[1]), match[2].lower()
