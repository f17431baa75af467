"""Time and memory of one inference against length, full attention against local, each in a process of its own.

    python scaling.py LOCAL_BUNDLE FULL_BUNDLE [--lengths 64,128]

The tokens are made up: a transformer's time depends on how many there are, hardly on which.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgeformer_runtime import Session
from edgeformer_runtime.device.facts import peak_rss_bytes
from edgeformer_runtime.device.memory import process_bytes

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
THREADS, ROUNDS, RUN_SECONDS = 2, 2, 0.4


def measure(bundle: str, variant: str, length: int) -> dict[str, float | str | None]:
    """Median milliseconds, and the growth of resident memory while inferences run, in MB (None: not known here)."""
    ids = np.random.default_rng(0).integers(1000, 20000, (1, length))
    feeds = {"input_ids": ids, "attention_mask": np.ones((1, length), np.int64)}
    with Session.open(bundle, variant=variant, threads=THREADS) as session:
        growth = _peak_growth_mb(lambda: session.run(feeds))
        samples: list[float] = []
        end = time.perf_counter() + RUN_SECONDS
        while len(samples) < 3 or time.perf_counter() < end:
            start = time.perf_counter()
            session.run(feeds)
            samples.append((time.perf_counter() - start) * 1e3)
        note = next((line for line in session.delegation if line.startswith("local attention")), "")
    return {"latency_ms": statistics.median(samples), "memory_mb": growth, "note": note}


def _peak_growth_mb(work: Callable[[], object]) -> float | None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux: the peak starts again from now
    except OSError:
        reset = False
    else:
        reset = True
    before = process_bytes()[0]
    work()
    peak = peak_rss_bytes()
    return None if not reset or before is None or peak is None else (peak - before) / 1e6


def child(bundle: str, variant: str, length: int) -> dict[str, float | str | None]:
    """``measure`` in a process of its own: peaks and engines' threads don't mix."""
    command = [sys.executable, __file__, "--one", bundle, variant, str(length)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{variant} of {bundle} didn't run at {length} tokens:\n{done.stderr}")
    found: dict[str, float | str | None] = json.loads(done.stdout)
    return found


def main(local: str, full: str, lengths: Sequence[int]) -> None:
    candidates = {"full, onnx": (full, "onnx"), "local, onnx": (local, "onnx"), "local, tflite": (local, "tflite")}
    print(f"{'tokens':>7}" + "".join(f"{name:>25}" for name in candidates) + f"{'full / local, onnx':>21}")
    notes = set()
    for length in lengths:
        rounds = {
            name: [child(*where, length) for _ in range(ROUNDS if length < 2048 else 1)]
            for name, where in candidates.items()
        }
        found = {
            name: {key: _median(rows, key) for key in ("latency_ms", "memory_mb")} for name, rows in rounds.items()
        }
        notes.update(str(row["note"]) for rows in rounds.values() for row in rows if row["note"])
        cells = [f"{_number(cell['latency_ms'])} ms {_number(cell['memory_mb'])} MB" for cell in found.values()]
        times = [cell["latency_ms"] for cell in found.values()]
        ratio = "?" if times[0] is None or times[1] is None else f"{times[0] / times[1]:.2f}x"
        print(f"{length:>7}" + "".join(f"{cell:>25}" for cell in cells) + f"{ratio:>21}", flush=True)
    print("MB: growth of resident memory while inferences run. TFLite pads to its signatures, 1,024 and 4,096 tokens.")
    print(f"int8, batch 1, {THREADS} threads. " + "; ".join(sorted(notes)))


def _median(rows: list[dict[str, float | str | None]], key: str) -> float | None:
    values = [value for row in rows if isinstance(value := row[key], float)]
    return statistics.median(values) if values else None


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.1f}"


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        print(json.dumps(measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        given = sys.argv[4].split(",") if "--lengths" in sys.argv else LENGTHS
        main(sys.argv[1], sys.argv[2], [int(length) for length in given])
