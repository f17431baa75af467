"""Folders that take long to make, kept by name: each appears by one rename when it is whole."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def kept(cache: Path, name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``cache/name``, made by ``make(folder)`` when it isn't there yet.

    Two processes that want the same folder wait for each other; one that fails or is killed leaves nothing that
    would be taken for a result.
    """
    cache = cache.resolve()
    folder = cache / name
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        for left in cache.glob(f".{name}-*"):
            shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
        try:
            make(temporary)
            temporary.chmod(0o755)
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    return folder


def key(*parts: Any) -> str:
    """Sixteen hexadecimal digits that name ``parts``, which are plain JSON data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
