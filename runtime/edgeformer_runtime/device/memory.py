"""Memory: what is free, what opening a variant will take, and what to say when it runs out.

What a variant takes is estimated by its engine's facts (``engines.facts``); one that was opened on this device before
counts with what it really took.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from ..bundle.manifest import VariantEntry
from ..errors import EngineError
from ..files.cache import read_entry, write_entry

MIB = 1 << 20
_CACHE_NAME = "memory.json"
_MAX_REMEMBERED = 200
_UNLIMITED = 1 << 60  # cgroup v1 writes a number near 2^63 for "no limit"

# Messages by which engines say that memory ran out: C++, ONNX Runtime's arena, TFLite, CUDA.
_OUT_OF_MEMORY = re.compile(
    r"bad_alloc|bad allocation|failed to allocate|cannot allocate memory|out of memory|bfcarena.*available memory"
    r"|memory allocation.*failed|unable to allocate",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Need:
    """Memory that a variant takes beyond the program itself, in bytes.

    ``load_bytes`` is the most while it is opened, ``held_bytes`` what stays; ``measured`` is True where this device
    found out by opening it.
    """

    load_bytes: int
    held_bytes: int
    measured: bool = False


def need(digest: str, variant: VariantEntry, most: Need) -> Need:
    """What ``variant`` of the bundle ``digest`` took when it was last opened here, else ``most``, its estimate."""
    found = (read_entry(_CACHE_NAME) or {}).get(_key(digest, variant))
    if isinstance(found, list) and len(found) == 2 and all(isinstance(item, int) and item > 0 for item in found):
        # A measurement holds what other threads took meanwhile, too, and an estimate is an upper bound.
        return Need(min(found[0], most.load_bytes), min(found[1], most.held_bytes), measured=True)
    return most


def remember(digest: str, variant: VariantEntry, load_bytes: int, held_bytes: int) -> None:
    """Keep what opening a variant took; losing it costs only a better estimate."""
    entries = read_entry(_CACHE_NAME) or {}
    key = _key(digest, variant)
    entries.pop(key, None)
    kept = dict(list(entries.items())[-(_MAX_REMEMBERED - 1) :])
    write_entry(_CACHE_NAME, {**kept, key: [load_bytes, held_bytes]})


def _key(digest: str, variant: VariantEntry) -> str:
    return f"{digest}/{variant.name}"


def free_bytes(root: Path = Path("/")) -> Optional[int]:
    """Memory that this process can still get: the least of the system's and its control groups'; None if unknown.

    ``root`` stands in for the file system's root in tests.
    """
    found = [value for value in (_available(root), *_group_rooms(root)) if value is not None]
    return min(found) if found else None


def check(digest: str, variant: VariantEntry, most: Need, free: Optional[int]) -> None:
    """Raise EngineError where ``variant`` clearly doesn't fit: ``free`` bytes are fewer than it holds once open.

    ``most`` is the estimate of what it takes.
    """
    wanted = need(digest, variant, most)
    if free is None or free >= wanted.held_bytes:
        return
    source = "took when it was opened here before" if wanted.measured else "is estimated to take"
    raise EngineError(
        f"variant {variant.name!r} {source} {_mb(wanted.held_bytes)} of memory, and {_mb(free)} are free: close other "
        "programs, use a smaller variant, or open it anyway with ignore_memory=True (--ignore-memory)"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an engine's error says that memory ran out."""
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


def load_error(label: str, variant: VariantEntry) -> EngineError:
    """The error of an engine that ran out of memory while it loaded ``variant``."""
    free = free_bytes()
    left = f" ({_mb(free)} are free)" if free is not None else ""
    return EngineError(
        f"variant {variant.name!r}: out of memory{left} while {label} loaded {Path(variant.path).name} "
        f"({variant.size_bytes / 1e6:.1f} MB): close other programs, or use a smaller variant"
    )


def inference_error(label: str, error: BaseException, feeds: Mapping[str, Any]) -> EngineError:
    """The error of a failed inference; one that ran out of memory names the shapes that were too much."""
    if not is_out_of_memory(error):
        return EngineError(f"{label}: inference failed: {error}")
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feeds.items())
    free = free_bytes()
    left = f" ({_mb(free)} are free)" if free is not None else ""
    return EngineError(
        f"{label}: out of memory{left} in an inference with {shapes}: run fewer rows at once, or shorter ones"
    )


def release_unused() -> None:
    """Give memory that an engine used while loading back to the system.

    ONNX Runtime unpacks and folds weights when a session is made; the C library keeps what is freed then, on MiniLM
    with 4-bit weights 80 MB of 126.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):  # musl and Android have no malloc_trim
        ctypes.CDLL(None).malloc_trim(0)


def process_bytes() -> Tuple[Optional[int], Optional[int]]:
    """(resident now, most so far) of this process; None where the system doesn't say."""
    fields = _kib_fields(Path("/proc/self/status"))
    return fields.get("VmRSS"), fields.get("VmHWM")


def _available(root: Path) -> Optional[int]:
    fields = _kib_fields(root / "proc/meminfo")
    if fields:
        return fields.get("MemAvailable")
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _group_rooms(root: Path) -> Tuple[Optional[int], ...]:
    """What is left in each control group of this process, version 2 and 1, its own and those above it."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ()
    rooms = []
    for line in lines:
        parts = line.split(":", 2)
        if len(parts) != 3 or (parts[1] and "memory" not in parts[1].split(",")):
            continue
        version_2 = not parts[1]
        base = root / "sys/fs/cgroup" if version_2 else root / "sys/fs/cgroup/memory"
        names = [name for name in parts[2].split("/") if name not in ("", "..")]
        for depth in range(len(names), -1, -1):
            rooms.append(_room(base.joinpath(*names[:depth]), version_2))
    return tuple(rooms)


def _room(folder: Path, version_2: bool) -> Optional[int]:
    """Limit less use of one control group; its page cache can be dropped, so it counts as free."""
    names = ("memory.max", "memory.current") if version_2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limit, used = (_number(folder / name) for name in names)
    if limit is None or used is None or limit >= _UNLIMITED:
        return None
    try:
        statistics = (folder / "memory.stat").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        statistics = ""
    cached = re.search(r"(?m)^(?:total_)?inactive_file (\d+)$", statistics)
    return max(0, limit - used + (int(cached.group(1)) if cached else 0))


def _number(path: Path) -> Optional[int]:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None  # "max" is no limit


def _kib_fields(path: Path) -> Dict[str, int]:
    """The fields in kB of a file like /proc/meminfo, in bytes."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {name: int(value) * 1024 for name, value in re.findall(r"(?m)^(\w+):\s+(\d+) kB", text)}


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
