"""Results of long stages, kept by the digest of all that they depend on: a killed compile loses at most one stage.

A stage's directory appears by one rename when it is complete, so what is there can be trusted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from edgeformer_runtime.foreign import foreign_errors

RESULT = "result.json"
MAX_CACHE_BYTES = 4 * 2**30
# files and rooms of a package that only ask for results or show them; those that make them never read one of these
NOT_IN_RESULTS = ("__main__.py", "cli.py", "commands", "publish.py", "report", "terminal")


def default_cache() -> Path:
    """Where stages are kept: $EDGEFORMER_CACHE, else the user's cache directory."""
    base = os.environ.get("EDGEFORMER_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "edgeformer" / "stages"


@dataclass(frozen=True)
class StageRecord:
    """What the report says of one stage."""

    name: str
    seconds: float
    resumed: bool
    within: str = ""  # the stage, or "a pass", whose seconds hold these too


@dataclass
class Stages:
    """Runs stages, or takes their results from an earlier run.

    Args:
        cache: directory of results; None keeps nothing beyond this object's life.
        progress: called with a line for a person when a stage begins and ends.
    """

    cache: Path | None
    progress: Callable[[str], None] = lambda message: None
    records: list[StageRecord] = field(default_factory=list)
    current: str = ""

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._open: list[str] = []
        self._temporary = tempfile.TemporaryDirectory(prefix="edgeformer-") if self.cache is None else None
        self._root = self.cache if self.cache is not None else Path(str(self._temporary and self._temporary.name))

    @property
    def wall_seconds(self) -> float:
        """Time since this object was made: stages may lie within one another, and some work is in none."""
        return time.monotonic() - self._began

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Stages that end in the block are noted as parts of ``name``."""
        self._open.append(name)
        try:
            yield
        finally:
            self._open.pop()

    def close(self) -> None:
        """Remove temporary results, and the oldest kept ones beyond the cache's limit."""
        if self._temporary is not None:
            self._temporary.cleanup()
        elif self._root.is_dir():
            _prune(self._root, MAX_CACHE_BYTES)

    def directory(
        self, name: str, key: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]]
    ) -> tuple[Path, Mapping[str, Any]]:
        """The directory and result (plain JSON data) of stage ``name`` for ``key``, made by ``make`` if need be."""
        digest = key_digest({"stage": name, **key})
        final = self._root / f"{name.replace('/', '-')}-{digest[:24]}"
        start = time.monotonic()
        self.current = name
        resumed = (final / RESULT).is_file()
        if resumed:
            os.utime(final)
        else:
            self.progress(f"{name} …")
            with self.inside(name), foreign_errors(f"stage {name}"):
                _make(final, make)
        result = json.loads((final / RESULT).read_text(encoding="utf-8"))
        self.done(name, time.monotonic() - start, resumed)
        return final, result

    @contextmanager
    def scratch(self, name: str, key: Mapping[str, Any]) -> Iterator[Path]:
        """A directory for what a long stage must not lose, e.g. its checkpoints; it may not exist yet.

        It survives a kill or an error in the block, and is removed when the block ends well.
        """
        directory = self._root / f"unfinished-{name.replace('/', '-')}-{key_digest({'stage': name, **key})[:24]}"
        yield directory
        shutil.rmtree(directory, ignore_errors=True)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Notes how long a block took, as a stage that is never kept."""
        self.current = name
        self.progress(f"{name} …")
        start = time.monotonic()
        with self.inside(name), foreign_errors(f"stage {name}"):
            yield
        self.done(name, time.monotonic() - start)

    def done(self, name: str, seconds: float, resumed: bool = False) -> None:
        """Note a stage that is over."""
        self.records.append(StageRecord(name, round(seconds, 3), resumed, self._open[-1] if self._open else ""))
        self.progress(f"{name}: {'kept from an earlier run' if resumed else f'{seconds:.1f} s'}")


def _make(final: Path, make: Callable[[Path], Mapping[str, Any]]) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".making-", dir=final.parent))
    try:
        result = make(staging)
        (staging / RESULT).write_text(json.dumps(result), encoding="utf-8")
        try:
            staging.rename(final)
        except OSError:
            if not (final / RESULT).is_file():  # another process may have made the same result
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _prune(root: Path, limit: int) -> None:
    entries = sorted((p for p in root.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    total = 0
    for entry in entries:
        total += sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
        abandoned = entry.name.startswith(".making-") and time.time() - entry.stat().st_mtime > 86_400
        if total > limit or abandoned:
            shutil.rmtree(entry, ignore_errors=True)


def key_digest(key: Mapping[str, Any]) -> str:
    """SHA-256 of plain data; raises TypeError for anything that JSON can't hold."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


@cache
def source_digest(package: str) -> str:
    """SHA-256 over an installed package's .py files: a changed exporter must not reuse old results.

    ``NOT_IN_RESULTS`` is left out.
    """
    import importlib.util

    spec = importlib.util.find_spec(package)
    digest = hashlib.sha256(package.encode())
    for location in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(location).rglob("*.py")):
            if path.relative_to(location).parts[0] not in NOT_IN_RESULTS:
                digest.update(path.read_bytes())
    return digest.hexdigest()
