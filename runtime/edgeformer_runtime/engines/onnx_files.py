"""A check that ONNX Runtime didn't make before its 2026 releases, on which many devices still are."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

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
