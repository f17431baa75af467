"""Inferences in a row on every CPU engine: memory and open files stand still, and a session costs microseconds.

Each engine runs a model of a few kB in a process of its own. Memory is looked at every hundredth of the way; what the
allocators settle on in the first tenth doesn't count. Half of the calls go through two threads at once. What a session
costs is always told, but judged in the full run only: the short one must pass on a busy machine too.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from section import main, report, scratch
from small_bundles import make_bundle

from edgeformer_runtime import Session

ENGINES = {"onnx": "onnxruntime", "tflite": "litert"}
MAX_GROWTH = 0.01
FULL_COUNT = 1_000_000
MAX_OVERHEAD_US, MAX_OVERHEAD_SHARE = 30.0, 0.03
OVERHEAD_ROUNDS = 3_000


def feeds() -> dict[str, np.ndarray]:
    """One row of 8 tokens."""
    return {name: np.ones((1, 8), np.int64) for name in ("input_ids", "attention_mask")}


def resident_bytes(kind: str = "RssAnon") -> int:
    """Memory of this process that is resident: what it wrote itself, or "VmRSS", all of it.

    Growth is looked for in the first: a library whose own thread wakes up after ten seconds brings in a megabyte of its
    code, once (seen with ONNX Runtime's, loaded beside LiteRT).
    """
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError(f"/proc/self/status tells no {kind}")
    return int(found.group(1)) * 1024


def open_files() -> int:
    """Open file descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def endure(session: Session, count: int) -> dict[str, float]:
    """Run ``count`` inferences; growth is what came after the first tenth, as a share of all that was resident then."""
    expected = session.run(feeds())["logits"]
    wrong: list[int] = []
    resident: list[int] = []
    files = whole = 0

    def some(calls: int) -> None:
        row = feeds()
        for _ in range(calls):
            if not np.array_equal(session.run(row)["logits"], expected):
                wrong.append(1)

    done = 0
    for step in range(100):
        part = count * (step + 1) // 100 - done
        if step % 2:
            threads = [threading.Thread(target=some, args=(calls,)) for calls in (part // 2, part - part // 2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            some(part)
        done += part
        resident.append(resident_bytes())
        if step == 9:
            files, whole = open_files(), resident_bytes("VmRSS")
    return {
        "count": done,
        "wrong": len(wrong),
        "growth": (max(resident[10:]) - resident[9]) / whole,
        "resident_mb": whole / 1e6,
        "more_files": open_files() - files,
    }


def overhead(session: Session) -> dict[str, float]:
    """The engine's own call and what ``Session.run`` adds to the call beside it, in µs.

    Each is a lowest quartile: what else the machine does only ever lengthens a call.
    """
    model = session._runner.model
    row = feeds()
    if session.variant.engine == "litert":
        signature = next(item for item in model._signatures if item.takes(row))
        values = signature.cast(row)

        def bare() -> object:
            return signature.runner(**values)
    else:
        inner, names = model._session, model._outputs

        def bare() -> object:
            return inner.run(names, row)

    engine_us, added_us = [], []
    for _ in range(OVERHEAD_ROUNDS):
        start = time.perf_counter()
        bare()
        middle = time.perf_counter()
        session.run(row)
        end = time.perf_counter()
        engine_us.append((middle - start) * 1e6)
        added_us.append((end - middle - (middle - start)) * 1e6)
    return {"engine_us": statistics.quantiles(engine_us)[0], "added_us": statistics.quantiles(added_us)[0]}


def child(path: str, variant: str, count: int) -> None:
    """One engine, in a process of its own; prints its figures."""
    with Session.open(path, variant=variant, threads=1) as session:
        found = {**overhead(session), **endure(session, count)}
    print(json.dumps(found))


def failures_of(name: str, found: dict[str, float]) -> list[str]:
    """What is beyond the limits."""
    added_us, engine_us = found["added_us"], found["engine_us"]
    problems = []
    if found["wrong"]:
        problems.append(f"{name}: {found['wrong']:.0f} inferences gave another result than the first")
    if found["growth"] >= MAX_GROWTH:
        problems.append(f"{name}: memory grew by {found['growth']:.2%} of {found['resident_mb']:.0f} MB")
    if found["more_files"] > 0:
        problems.append(f"{name}: {found['more_files']:.0f} more files are open")
    if found["count"] >= FULL_COUNT and added_us > max(MAX_OVERHEAD_US, MAX_OVERHEAD_SHARE * engine_us):
        problems.append(f"{name}: Session.run costs {added_us:.1f} µs over the engine's {engine_us:.1f} µs")
    return problems


def run(count: int) -> int:
    """``count`` inferences an engine; the section counts those of all engines."""
    failures: list[str] = []
    notes = []
    total = 0
    with scratch() as name:
        path = make_bundle(Path(name, "bundle"), "endurance")
        for variant, engine in ENGINES.items():
            command = [sys.executable, __file__, "--child", str(path), variant, str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                failures.append(f"{engine}: ended with {done.returncode}: {done.stderr[-2000:]}")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            total += int(found["count"])
            failures += failures_of(engine, found)
            notes.append(
                f"{engine}: memory {found['growth']:+.2%} of {found['resident_mb']:.0f} MB, files "
                f"{found['more_files']:+.0f}, Session.run {found['added_us']:.1f} µs over the "
                f"engine's {found['engine_us']:.1f} µs"
            )
    return report(total, failures, "; ".join(notes))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main(run, FULL_COUNT)
