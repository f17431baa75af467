"""Reading ONNX files without onnx, which devices don't have.

The check for tensors outside the file is one that ONNX Runtime didn't make before its 2026 releases.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import FrozenSet, Optional

from ..errors import EngineError
from . import protobuf

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


# The fields' numbers in onnx.proto.
_GRAPH_OF_MODEL, _FUNCTION_OF_MODEL = 7, 25
_NODE_OF_GRAPH, _NAME_OF_FUNCTION = 1, 1


def function_names(path: Path) -> FrozenSet[str]:
    """Names of the functions that an ONNX file defines; none for what is no protobuf message."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        view = memoryview(content)
        try:
            return frozenset(
                name
                for function in protobuf.messages(view, _FUNCTION_OF_MODEL)
                for name in protobuf.texts(function, _NAME_OF_FUNCTION)
            )
        except (IndexError, ValueError):
            return frozenset()
        finally:
            view.release()


def count_nodes(content: bytes) -> Optional[int]:
    """Nodes of the main graph of an ONNX file; None for what is no protobuf message."""
    try:
        graphs = protobuf.messages(memoryview(content), _GRAPH_OF_MODEL)
        return sum(1 for graph in graphs for _ in protobuf.messages(graph, _NODE_OF_GRAPH))
    except (IndexError, ValueError):
        return None
