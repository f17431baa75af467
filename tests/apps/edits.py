"""Changes of JSON text, of its parts and blindly: byte position in the text so far, bytes deleted, bytes inserted."""

from __future__ import annotations

import json
import random
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "reliability"))
from mutations import VALUES

Edit = tuple[int, int, bytes]
LONG_TABLE = 12  # of a vocabulary some items only, so that settings are hit as often
# Values in the place of others: those of the reliability run, and numbers, names and forms at the limits of readers.
TEXTS = (
    *(json.dumps(value).encode() for value in VALUES),
    b"9999999999999999999", b"99999999999999999999", b"-9999999999999999999", b"2147483647", b"2147483648",
    b"4294967295", b"4294967296", b"9007199254740993", b"18446744073709551615", b"16777216", b"16777217", b"1048576",
    b"1048577", b"1.0", b"1e2", b"-0", b"-0.0", b"1e-400", b"1e308", b"2.5e-3", b"1E+2", b"5", b"0.25",
    b'"\\ud83d\\ude42"', b'"\\u0000"', b'"\\u0041\\n"', b'"\x7f"', b'"\xc3\xa9"', b'"\xe2\x80\xae"', b'"\xc2\xa0"',
    b'"\xef\xbb\xbf"', b'"CON"', b'"lpt1.txt"', b'"A:b"', b'"a/b/"', b'"a//b"', b'"."', b'"a\\\\b"', b'"a "', b'"a."',
    b'"batch"', b'"sequence"', b'"golden.json"', b'"manifest.json"', b'"state"', b'["batch","batch"]', b'["batch",2]',
    b"[1,2]", b"[2,1]", b'{"a":[1,2]}', b'{"__proto__":1}', b'{"kind":"text"}', b'{"type":"Lowercase"}',
    b'{"type":"Sequence"}', b'{"Regex":"(a*)*b"}', b'{"Regex":"["}', b'{"Regex":"\\\\p{L}+"}',
    b'{"Regex":"(?<!x)y\\\\1"}', b'{"String":""}', b'{"String":" "}', b'["a b","b c"]', b'[["a","b"]]',
    b'[["a",-1.5],["b",0]]',
)  # fmt: skip
BROKEN = (
    b"1e309", b"01", b".5", b"5.", b"+1", b"0x10", b"NaN", b"-Infinity", b"True", b"undefined", b"'x'",
    b'"\\ude42\\ud83d"', b'"\\ud83d"', b'"\\x41"', b'"a\tb"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"',
    b'"\xff"', b"[1,]", b"[,1]", b'{"a":1,"a":2}', b'{"a":}', b"/**/1", b"", b" ", b"\xc2\xa01", b"\x00",
    b"\xe2\x80\xa81", b"1 1", b"\x0c1",
)  # fmt: skip
BYTES = (
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b"\t", b"\x0b", b",", b":", b'"', b"{", b"}", b"[", b"]",
    b"\\", b"//", b"0", b"-", b".", b"e9", b"9" * 20, b"\\u", b"\\ud800", b"NaN", b"null", b"[" * 64, b"[" * 5000,
    b'{"a":' * 5000,
)  # fmt: skip
INSIDE = tuple(text[1:-1] for text in TEXTS if text[:1] == b'"')  # of a text
NESTED = (1, 2, 55, 60, 61, 62, 63, 64, 127, 128, 3000)
_SPACE = re.compile(r"\s*")
_DECODE = json.JSONDecoder().raw_decode


@dataclass(frozen=True)
class Place:
    """A value inside of JSON text: bytes ``start`` to ``end``, as an item of an object or a list."""

    item: int  # where the item begins: at its key, if it has one
    key_end: int  # item: there is no key
    start: int
    end: int
    before: int | None  # the end of the item before
    following: int | None  # the beginning of the next one
    index: int


def applied(text: bytes, edits: list[Edit]) -> bytes:
    """``text`` with each change made to what the one before left."""
    for at, deleted, inserted in edits:
        text = text[:at] + inserted + text[at + deleted :]
    return text


@lru_cache(maxsize=64)
def places(text: bytes) -> tuple[Place, ...]:
    """Every value of JSON text but the whole."""
    found: list[Place] = []
    _walk(text.decode("latin-1"), 0, found)  # a character a byte
    return tuple(found)


def _walk(text: str, at: int, found: list[Place]) -> int:
    """The end of the value at ``at``; what is inside of it is added to ``found``."""
    if text[at] not in "{[":
        return int(_DECODE(text, at)[1])
    items = []
    is_object, at = text[at] == "{", _after_space(text, at + 1)
    while text[at] not in "]}":
        key_end = start = at
        if is_object:
            key_end = int(_DECODE(text, at)[1])
            start = _after_space(text, _after_space(text, key_end) + 1)
        end = _walk(text, start, found)
        items.append((at, key_end, start, end))
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    for index, item in enumerate(items):
        before = items[index - 1][3] if index > 0 else None
        following = items[index + 1][0] if index + 1 < len(items) else None
        found.append(Place(*item, before, following, index))
    return at + 1


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def drawn(draw: random.Random, text: bytes, others: tuple[bytes, ...]) -> list[Edit]:
    """A few changes of JSON text; ``others`` are texts whose values and keys may come into it."""
    edits: list[Edit] = []
    if draw.randrange(8):
        everything = places(text)
        few = [place for place in everything if place.index < LONG_TABLE]
        free = len(text)
        chosen = {draw.choice(few if draw.randrange(8) else everything) for _ in range(draw.choice((1, 1, 1, 2, 3)))}
        for place in sorted(chosen, key=lambda place: -place.item):  # from the end: places before stay where they are
            at, deleted, inserted = _structured(draw, text, place, others)
            if at + deleted <= free:
                edits.append((at, deleted, inserted))
                free = at
    if not edits or draw.randrange(16) == 0:
        changed = applied(text, edits)
        for _ in range(draw.choice((1, 1, 2, 4))):
            edits.append(_blind(draw, changed))
            changed = applied(changed, edits[-1:])
    return edits


def _structured(draw: random.Random, text: bytes, place: Place, others: tuple[bytes, ...]) -> Edit:
    start, size = place.start, place.end - place.start
    value, key, kind = text[start : place.end], text[place.item : place.key_end], draw.randrange(16)
    if kind == 0:
        return _removed(place)
    if kind == 1:
        return place.item, 0, text[place.item : place.end] + b","
    if kind == 2 and key:
        return place.item, len(key), _key(draw, key, others)
    if kind < 8:
        return start, size, _taken(draw, key if kind < 7 else b"", draw.choice((text, *others)))
    if kind == 8:
        times = draw.choice(NESTED)
        opening, closing = draw.choice(((b"[", b"]"), (b'{"a":', b"}")))
        return start, size, opening * times + value + closing * times
    if kind < 12 and value[:1] == b'"':
        at = start + draw.randrange(1, size)
        return at, draw.choice((0, 0, min(3, place.end - at - 1))), draw.choice(INSIDE) or b"a"
    if kind < 12 and value[:1] in b"-0123456789":
        changed = (b"-" + value, value + b"0", value + b".0", value + b"e1", value + b".5", b"1" + value, value[1:])
        return start, size, draw.choice(changed)
    return start, size, draw.choice(BROKEN if kind == 15 else TEXTS)


def _removed(place: Place) -> Edit:
    """An item with the comma behind it, or else before it."""
    if place.following is not None:
        return place.item, place.following - place.item, b""
    begin = place.item if place.before is None else place.before
    return begin, place.end - begin, b""


def _taken(draw: random.Random, key: bytes, other: bytes) -> bytes:
    """A value of another text, of the same key where it has one."""
    known = _by_key(other)
    place = draw.choice(known.get(key) or places(other))
    return other[place.start : place.end]


@lru_cache(maxsize=64)
def _by_key(text: bytes) -> dict[bytes, list[Place]]:
    found: dict[bytes, list[Place]] = {}
    for place in places(text):
        if place.key_end > place.item:
            found.setdefault(text[place.item : place.key_end], []).append(place)
    return found


def _key(draw: random.Random, key: bytes, others: tuple[bytes, ...]) -> bytes:
    kind = draw.randrange(4)
    if kind == 0:
        return draw.choice((b'"x"', b'""', b'"__proto__"', b'"constructor"', b"1", b"null", b"x"))
    if kind == 1:
        return draw.choice((key.upper(), key[:-1] + b'_"', key[:-1] + b'\\u0000"', key[:-2] + b'"'))
    return draw.choice(list(_by_key(draw.choice(others))))


def _blind(draw: random.Random, text: bytes) -> Edit:
    at = draw.randrange(len(text) + 1)
    kind = draw.randrange(8)
    span = min(draw.choice((1, 2, 8, 60, 600)), len(text) - at)
    if kind < 3 and at < len(text):
        return at, 1, bytes([text[at] ^ 1 << draw.randrange(8)])
    if kind == 3:
        return at, span, b""
    if kind == 4:
        return at, 0, text[at : at + span]
    if kind == 5:
        return at, len(text) - at, b""  # cut
    if kind == 6:
        return at, span, draw.randbytes(span)
    return at, 0, draw.choice(BYTES)
