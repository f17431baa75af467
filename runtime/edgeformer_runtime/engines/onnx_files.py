"""Reading ONNX files without onnx, which devices don't have.

The check for tensors outside the file is one that ONNX Runtime didn't make before its 2026 releases.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Iterator, Optional, Tuple

from ..errors import EngineError

# A tensor outside the file names its place in a protobuf entry whose key is "location". The length 8 before
# the word may be written in several bytes, so each way of writing it is looked for.
_EXTERNAL_DATA = re.compile(rb"(?:\x08|\x88\x80{0,8}\x00)location")


def check_single_file(path: Path) -> None:
    """Raise EngineError if the ONNX file reads tensors from other files, which may lie outside the bundle."""
    if path.stat().st_size == 0:
        raise EngineError(f"can't load {path.name}: the file is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if _EXTERNAL_DATA.search(content):
            raise EngineError(
                f"{path}: keeps tensors in other files: expected one file that holds them all. Compile the bundle again"
            )


_GRAPH_OF_MODEL, _NODE_OF_GRAPH = 7, 1  # the fields' numbers in onnx.proto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # the wire types of protobuf


def count_nodes(content: bytes) -> Optional[int]:
    """Nodes of the main graph of an ONNX file; None for what is no protobuf message."""
    view = memoryview(content)
    try:
        graphs = [part for number, part in _messages(view) if number == _GRAPH_OF_MODEL]
        return sum(number == _NODE_OF_GRAPH for graph in graphs for number, _ in _messages(graph))
    except (IndexError, ValueError):
        return None


def _messages(view: memoryview) -> Iterator[Tuple[int, memoryview]]:
    """(number, content) of each field of bytes in a protobuf message; the others are passed over."""
    position = 0
    while position < len(view):
        key, position = _varint(view, position)
        kind = key & 7
        if kind == _BYTES:
            size, position = _varint(view, position)
            if size > len(view) - position:
                raise ValueError("a field is longer than its message")
            yield key >> 3, view[position : position + size]
            position += size
        elif kind == _VARINT:
            _, position = _varint(view, position)
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")


def _varint(view: memoryview, position: int) -> Tuple[int, int]:
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
