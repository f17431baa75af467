"""First load in a child process with limits: what crashes, hangs or swells there doesn't take this process with it.

What it is: a separate process without this one's environment, whose memory, processor time, file sizes and duration
the system limits, and whose end, whatever it is, becomes an error here. What it is not: a security boundary. There is
no filter of system calls, no namespace, no other user: code that a hostile file gets to run in the child may read and
write what this user may. Load bundles from producers that you trust (`--key`), or give the whole program a container.

A bundle that loaded and ran is remembered by its digest, the engines and the limits, so only the first load pays.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Dict, Optional, Tuple, Union

from .. import errors
from ..bundle.bundle import Bundle
from ..errors import EdgeformerError, RuntimeBundleError, SandboxError
from ..files.cache import read_entry, write_entry
from ..files.json_nesting import nests_deeper
from ..version import __version__

BUILD_S = 1800.0  # instead of 120, where nobody said otherwise and TensorRT is here
MIN_MEMORY_BYTES = 100_000_000  # with less, numpy's libraries wait for threads that they can't start
_CACHE_NAME = "sandbox.json"
_MAX_REMEMBERED = 200
_MAX_ANSWER_BYTES = 1 << 20
_STDERR_BYTES = 2000
_KEPT = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH")
_KEPT_PREFIXES = ("LC_", "EDGEFORMER_", "OMP_", "MKL_", "CUDA_", "ORT_")


@dataclass(frozen=True)
class Limits:
    """What the child may use. ``memory_bytes`` is private writable memory, 0 for 1 GiB and six times the files.

    ``wall_s`` covers starting Python, importing the engines, loading and one run of each variant.
    """

    memory_bytes: int = 0
    wall_s: float = 120.0
    cpu_s: int = 240
    file_bytes: int = 4 << 30  # of each file that it writes, private copies in memory among them

    def __post_init__(self) -> None:
        for name, least in (("memory_bytes", 0), ("wall_s", 1), ("cpu_s", 1), ("file_bytes", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
                raise errors.InputError(f"sandbox: {name} {value!r}: expected a number of at least {least}")
        if 0 < self.memory_bytes < MIN_MEMORY_BYTES:
            raise errors.InputError(
                f"sandbox: {self.memory_bytes} bytes of memory: expected at least {MIN_MEMORY_BYTES}: Python, numpy "
                "and an engine need as much before any model"
            )


@dataclass(frozen=True)
class SandboxResult:
    """What the child found: the bundle's digest, {variant: engine} of what ran, {variant: reason} of what didn't."""

    digest: str
    ran: Dict[str, str]
    failed: Dict[str, str]
    not_limited: Tuple[str, ...] = ()  # limits that this system doesn't have
    remembered: bool = False


def open_in_sandbox(path: Union[str, Path], limits: Optional[Limits] = None) -> SandboxResult:
    """Open and verify a bundle in a child process, without any engine; raises what opening raises, SandboxError."""
    return _result(_run({"stage": "open", "path": str(Path(path).absolute())}, limits or Limits()))


def load_in_sandbox(
    bundle: Union[Bundle, str, Path],
    variant: str = "auto",
    threads: Optional[int] = None,
    limits: Optional[Limits] = None,
) -> SandboxResult:
    """Load ``variant`` ("auto": each one that an engine here takes) in a child process and run it once.

    Raises SandboxError when the child crashes or needs more than ``limits``, EngineError when nothing could be loaded,
    RuntimeBundleError for the bundle.
    """
    if not isinstance(bundle, Bundle):
        with Bundle.open(bundle) as opened:
            return load_in_sandbox(opened, variant, threads, limits)
    allowed = _filled(limits, bundle, variant)
    key = _cache_key(bundle, variant, threads, allowed)
    known = (read_entry(_CACHE_NAME) or {}).get(key)
    if isinstance(known, dict) and all(isinstance(value, str) for value in known.values()):
        return SandboxResult(bundle.digest, known, {}, remembered=True)
    request = {"stage": "load", "path": str(bundle.path), "variant": variant, "threads": threads}
    result = _result(_run(request, allowed))
    if result.digest != bundle.digest:
        raise SandboxError(f"bundle {bundle.path}: was changed while it was tried in a child process: open it again")
    _remember(key, result.ran)
    return result


def _filled(limits: Optional[Limits], bundle: Bundle, variant: str) -> Limits:
    """The limits for this bundle: memory by its size, and time for an engine that builds at first."""
    from ..engines import ENGINES
    from ..variants.selection import candidates

    allowed = limits
    if allowed is None:
        found = [item for item in candidates(bundle) if variant in ("auto", item.variant.name)]
        builds = any(item.availability.usable and ENGINES[item.availability.engine].builds for item in found)
        allowed = Limits(wall_s=BUILD_S, cpu_s=2 * int(BUILD_S)) if builds else Limits()
    if allowed.memory_bytes:
        return allowed
    size = sum(entry.bytes for entry in bundle.manifest.files)
    return replace(allowed, memory_bytes=(1 << 30) + 6 * size)


def _run(request: Dict[str, Any], limits: Limits) -> Dict[str, Any]:
    """The child's answer; raises SandboxError where it gives none."""
    command = [sys.executable, "-c", "from edgeformer_runtime.sandbox.child import main; main()"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=_environment(), close_fds=True
        )
        try:
            text = json.dumps({**request, "limits": asdict(limits)}).encode("utf-8")
            answer, _ = process.communicate(text, timeout=limits.wall_s)
        except subprocess.TimeoutExpired:
            _stop(process)
            raise SandboxError(
                f"{_what(request)} took longer than {limits.wall_s:g} s in its child process: refused. Where the "
                "device is just slow, allow more (--sandbox-seconds)"
            ) from None
        except BaseException:
            _stop(process)
            raise
        if process.returncode != 0 or len(answer) > _MAX_ANSWER_BYTES:
            raise SandboxError(_ending(request, process.returncode, limits, _tail(said)))
    try:
        said_back = answer.decode("utf-8")
        value = None if nests_deeper(said_back) else json.loads(said_back)
    except ValueError:
        raise SandboxError(f"{_what(request)}: the child process gave no answer: refused") from None
    return value if isinstance(value, dict) else {}


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate()


def _ending(request: Dict[str, Any], status: int, limits: Limits, said: str) -> str:
    names = {getattr(signal, name): name for name in ("SIGXCPU", "SIGKILL", "SIGALRM") if hasattr(signal, name)}
    ending = names.get(-status)
    if ending == "SIGXCPU":
        why = f"used more than {limits.cpu_s} s of processor time in its child process"
    elif ending == "SIGALRM":
        why = f"took longer than {limits.wall_s:g} s in its child process"
    elif ending == "SIGKILL":
        why = "was killed in its child process, most often for want of memory or processor time"
    elif status < 0:
        why = f"crashed its child process ({signal.Signals(-status).name})"
    else:
        why = f"ended its child process with status {status}"
    return f"{_what(request)} {why}: refused. The engine said: {said or 'nothing'}"


def _result(answer: Dict[str, Any]) -> SandboxResult:
    if "error" in answer:
        kind = getattr(errors, str(answer.get("kind")), SandboxError)
        known = isinstance(kind, type) and issubclass(kind, EdgeformerError)
        error = (kind if known else SandboxError)(str(answer["error"])[:4000])
        if isinstance(error, RuntimeBundleError) and isinstance(answer.get("code"), str):
            error.code = answer["code"]
        raise error
    try:
        digest, ran, failed = str(answer["digest"]), dict(answer["ran"]), dict(answer["failed"])
        return SandboxResult(digest, ran, failed, tuple(answer["not_limited"]))
    except (KeyError, TypeError, ValueError):
        raise SandboxError("the child process gave an answer that is none: refused") from None


def _what(request: Dict[str, Any]) -> str:
    doing = "opening" if request["stage"] == "open" else f"loading variant {request.get('variant')!r} of"
    return f"{doing} bundle {request['path']}"


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _STDERR_BYTES))
    return file.read().decode("utf-8", "replace").strip()


def _environment() -> Dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    kept["PYTHONPATH"] = os.pathsep.join(part for part in sys.path if part)
    kept["MALLOC_ARENA_MAX"] = "2"  # glibc reserves much address space for each thread otherwise
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    return kept


def _cache_key(bundle: Bundle, variant: str, threads: Optional[int], limits: Limits) -> str:
    from ..variants.selection import candidates

    engines = [[item.variant.name, item.availability.package, item.availability.version] for item in candidates(bundle)]
    parts = [bundle.digest, variant, threads, asdict(limits), engines, __version__, sys.version]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8")).hexdigest()


def _remember(key: str, ran: Dict[str, str]) -> None:
    entries = read_entry(_CACHE_NAME) or {}
    entries.pop(key, None)
    write_entry(_CACHE_NAME, {**dict(list(entries.items())[-(_MAX_REMEMBERED - 1) :]), key: ran})
