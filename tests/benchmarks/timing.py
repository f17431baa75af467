"""Interleaved timing: every candidate runs in every round, so that a change of the machine's load meets all of them."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import onnxruntime

from edgeformer_runtime.device.facts import probe
from edgeformer_runtime.engines.onnx_products import has_faster_int8, smallest_exact_int8

WARM_UP, ROUNDS, RUNS = 15, 15, 8
# which kernels an engine has for integers
_DECISIVE_FEATURES = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")
THREADS = 2


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    warm_up: int = WARM_UP,
    rounds_wanted: int = ROUNDS,
    runs: int = RUNS,
) -> dict[str, list[float]]:
    """Median milliseconds of each candidate in each round; a candidate may time itself by returning a float."""
    rounds: dict[str, list[float]] = {name: [] for name in candidates}
    for candidate in candidates.values():
        for _ in range(warm_up):
            candidate()
    for _ in range(rounds_wanted):
        for name, candidate in candidates.items():
            rounds[name].append(statistics.median(_timed(candidate) for _ in range(runs)))
    return rounds


def _timed(candidate: Callable[[], object]) -> float:
    start = time.perf_counter()
    result = candidate()
    own = result if isinstance(result, float) else None
    return (time.perf_counter() - start) * 1e3 if own is None else own


def ratios(rounds: Mapping[str, list[float]], baseline: str) -> dict[str, float]:
    """Median over rounds of candidate / baseline within the same round: below 1 is faster."""
    return {
        name: statistics.median(value / base for value, base in zip(values, rounds[baseline], strict=True))
        for name, values in rounds.items()
    }


class Worker:
    """A candidate in a process (and environment) of its own: each call runs it once and gives its milliseconds."""

    def __init__(self, python: Path, script: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [str(python), str(script), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.label = self._read("ready").strip()
        self.pid = self._process.pid

    def __call__(self) -> float:
        if self._process.stdin is None:
            raise RuntimeError("the worker has no input")
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        return float(self._read("ms"))

    def _read(self, key: str) -> str:
        if self._process.stdout is None:
            raise RuntimeError("the worker has no output")
        for line in self._process.stdout:
            if line.startswith(key + " "):
                return line[len(key) + 1 :]
        raise RuntimeError("the worker ended before it answered")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def machine() -> str:
    """What this ran on, for the line under a table."""
    facts = probe()
    features = [name for name in _DECISIVE_FEATURES if name in facts.cpu_features]
    form = "int8" if has_faster_int8() and smallest_exact_int8(onnxruntime) else "uint8"
    load = os.getloadavg()[0]
    return (
        f"{facts.cpu_model or facts.machine}, {facts.usable_cores} cores, {' '.join(features)}; {THREADS} threads; "
        f"ONNX Runtime multiplies {form} weights; Python {facts.python}; load average at the start {load:.1f}"
    )


def environment(directory: Path, *requirements: str) -> Path:
    """The interpreter of a virtual environment with ``requirements``, made once."""
    python = directory / "bin" / "python"
    if not (directory / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
        (directory / ".installed").touch()
    return python
