"""Protobuf messages by the fields of their wire format, without the package, which devices don't have.

What is yielded are views into the message: writing to one changes the message in place.
"""

from __future__ import annotations

from typing import Iterator, Tuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # the wire types


def fields(message: memoryview) -> Iterator[Tuple[int, int, memoryview]]:
    """(number, wire type, content) of each field; of a varint its bytes. ValueError or IndexError for anything else."""
    position = 0
    while position < len(message):
        key, position = read_varint(message, position)
        kind = key & 7
        start = position
        if kind == BYTES:
            size, start = read_varint(message, position)
            if size > len(message) - start:
                raise ValueError("a field is longer than its message")
            position = start + size
        elif kind == VARINT:
            _, position = read_varint(message, position)
        elif kind in (FIXED64, FIXED32):
            position += 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        yield key >> 3, kind, message[start:position]


def messages(message: memoryview, number: int) -> Iterator[memoryview]:
    """The contents of the fields of bytes with that number: strings, bytes and messages."""
    return (content for found, kind, content in fields(message) if found == number and kind == BYTES)


def texts(message: memoryview, number: int) -> Tuple[str, ...]:
    """The strings of a field; what isn't UTF-8 in them is replaced."""
    return tuple(bytes(content).decode("utf-8", "replace") for content in messages(message, number))


def read_varint(view: memoryview, position: int) -> Tuple[int, int]:
    """(number, position behind it)."""
    value = shift = 0
    while True:
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def write_number(number: int, value: int) -> bytes:
    """A field that holds a number of at least 0."""
    return _varint(number << 3 | VARINT) + _varint(value)


def write_bytes(number: int, content: bytes) -> bytes:
    """A field that holds bytes, a string in UTF-8, or a message."""
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(written) + bytes([value])
