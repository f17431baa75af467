"""The child process of ``sandbox``: limits itself, opens or loads, answers with one JSON object, ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, Dict, List, Optional

MEMORY_REASON = "needs more memory than its child process may use"


def main() -> None:
    """Read the request from standard input, do it, and write the answer to what was standard output."""
    request = json.loads(sys.stdin.buffer.read())
    answer_handle = os.dup(1)
    os.dup2(2, 1)  # what engines print isn't the answer
    not_limited = limit(request["limits"])
    try:
        answer = _open(request) if request["stage"] == "open" else _load(request)
        answer["not_limited"] = not_limited
    except MemoryError:
        allowed = request["limits"]["memory_bytes"]
        answer = {"kind": "SandboxError", "error": f"bundle {request['path']}: {MEMORY_REASON} ({allowed} bytes)"}
    except Exception as error:
        answer = _error(error)
    with os.fdopen(answer_handle, "wb") as file:
        file.write(json.dumps(answer).encode("utf-8"))
    # Without running destructors: an engine that a hostile file has upset may crash in them.
    os._exit(0)


def limit(limits: Dict[str, Any]) -> List[str]:
    """Set the limits of this process; returns those that this system doesn't have."""
    try:
        import resource
    except ImportError:  # Windows: only the parent's clock holds
        return ["memory", "processor time", "file size"]
    if hasattr(signal, "alarm"):
        signal.alarm(int(limits["wall_s"]) + 5)  # where the parent is gone
    wanted = [
        ("core dumps", "RLIMIT_CORE", 0),
        ("processor time", "RLIMIT_CPU", int(limits["cpu_s"])),
        ("file size", "RLIMIT_FSIZE", int(limits["file_bytes"])),
    ]
    if limits["memory_bytes"]:
        # DATA counts private writable pages; AS counts what is mapped, libraries and files too, so it has room.
        wanted.append(("memory", "RLIMIT_DATA", int(limits["memory_bytes"])))
        wanted.append(("address space", "RLIMIT_AS", 2 * int(limits["memory_bytes"]) + (4 << 30)))
    missing = []
    for what, name, value in wanted:
        kind = getattr(resource, name, None)
        if kind is None:
            missing.append(what)
            continue
        try:
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):
            missing.append(what)
    return missing


def _open(request: Dict[str, Any]) -> Dict[str, Any]:
    from ..bundle.bundle import Bundle

    with Bundle.open(request["path"]) as bundle:
        return {"digest": bundle.digest, "ran": {}, "failed": {}}


def _load(request: Dict[str, Any]) -> Dict[str, Any]:
    from ..bundle.bundle import Bundle
    from ..errors import EngineError
    from ..variants.selection import candidates

    with Bundle.open(request["path"]) as bundle:
        _try_tokenizer(bundle)
        found = candidates(bundle)
        wanted = request["variant"]
        names = [item.variant.name for item in found if wanted in ("auto", item.variant.name)]
        failed = {item.variant.name: str(item.availability.reason) for item in found if not item.availability.usable}
        digest = bundle.digest
    ran: Dict[str, str] = {}
    for name in names:
        if name in failed and wanted == "auto":
            continue
        try:
            ran[name] = _run_once(request["path"], name, request["threads"])
        except EngineError as error:
            failed[name] = _with_memory(str(error))
    if not ran:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items()) or f"it has no variant {wanted!r}"
        raise EngineError(f"bundle {request['path']}: no variant can run here: {reasons}")
    return {"digest": digest, "ran": ran, "failed": failed}


def _run_once(path: str, variant: str, threads: Optional[int]) -> str:
    """Load and run one variant; returns its engine. What upsets an engine is often the first run, not the load."""
    from ..bundle.bundle import Bundle
    from ..device.facts import usable_cores
    from ..variants.feeds import synthetic_feeds, typical_sizes
    from ..variants.selection import LoadOptions, candidates, load

    with Bundle.open(path) as bundle:
        found = next(item for item in candidates(bundle) if item.variant.name == variant)
        runner = load(bundle, found, threads if threads is not None else usable_cores(), LoadOptions()).runner
        runner.run(synthetic_feeds(bundle.manifest.inputs, typical_sizes(bundle.manifest, (found.variant,))))
        return runner.label


def _try_tokenizer(bundle: Any) -> None:
    manifest = bundle.manifest
    preprocess = manifest.text
    if preprocess is None:
        return
    from ..preprocess.registry import inputs_fed_by
    from ..preprocess.text import TextEncoder

    inputs = inputs_fed_by("text", [item.kind for item in manifest.preprocess], manifest.inputs)
    encoder = TextEncoder(bundle.read(preprocess.tokenizer), preprocess, inputs)
    encoder.encode("a text", "and another" if preprocess.pair else None)


def _with_memory(text: str) -> str:
    return f"{MEMORY_REASON}: {text}" if "bad_alloc" in text or "llocate" in text else text


def _error(error: Exception) -> Dict[str, Any]:
    from .. import errors

    if isinstance(error, errors.EdgeformerError):
        kind = next(base.__name__ for base in type(error).__mro__ if hasattr(errors, base.__name__))
        return {"kind": kind, "error": str(error), "code": getattr(error, "code", None)}
    return {"kind": "SandboxError", "error": f"loading in a child process: {type(error).__name__}: {error}"}
