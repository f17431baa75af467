"""The cache directory. Losing it costs time, never a result; an unwritable one is no error."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional

from .json_nesting import nests_deeper


def cache_directory() -> Path:
    """$EDGEFORMER_CACHE, or ~/.cache/edgeformer-runtime. It may not exist."""
    chosen = os.environ.get("EDGEFORMER_CACHE")
    return Path(chosen) if chosen else Path("~/.cache/edgeformer-runtime").expanduser()


def read_entry(name: str) -> Optional[Dict[str, Any]]:
    """The JSON object stored under ``name``; None when there is none or it can't be read."""
    try:
        text = (cache_directory() / name).read_text(encoding="utf-8")
        value = None if nests_deeper(text) else json.loads(text)
    except (OSError, ValueError, RuntimeError):  # RuntimeError: no home directory
        return None
    return value if isinstance(value, dict) else None


def write_entry(name: str, value: Dict[str, Any]) -> bool:
    """Store ``value`` under ``name``, whole or not at all; False where the cache can't be written."""
    try:
        directory = cache_directory()
        directory.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=name, suffix=".tmp", dir=directory)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(value, file, sort_keys=True)
            Path(temporary).replace(directory / name)
        except BaseException:
            Path(temporary).unlink()
            raise
    except (OSError, RuntimeError):
        return False
    return True
