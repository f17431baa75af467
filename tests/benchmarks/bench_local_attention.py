"""Local attention against full attention: alone (12 heads of 64, fp32), and in an encoder of BERT-base's shape.

Every ratio is the median over rounds in which all candidates ran one after the other. Weights and inputs are random:
this says how fast, not how good. Results also go to local-attention/results.json beside the other benchmarks' files.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attention_graphs as graphs
from bench_minilm import WORK
from local_attention_models import LONGEST, RADIUS, files, kernels
from timing import THREADS, Worker, interleaved, machine

from edgeformer.passes.local_attention import DENSE_POSITIONS, DENSE_RADII

HERE = Path(__file__).resolve().parent
FOLDER = WORK / "local-attention"
STACKED_LAYERS = 6
SHORT_LENGTHS = (64, 128, 192, 256, 384, 512, 768, 1024, 2048)
LONG_LENGTHS = (2048, 4096, 8192, 16384)
Rounds = Mapping[str, list[float]]


def times_faster(rounds: Rounds, baseline: str, name: str) -> float:
    """How many times less time ``name`` took than ``baseline``: the median over rounds."""
    return statistics.median(base / own for base, own in zip(rounds[baseline], rounds[name], strict=True))


def attention_alone(library: Path | None) -> dict[str, Any]:
    """4,096 tokens at radius 128 and 256, and 8,192 at 128, against MatMul, Softmax and MatMul."""

    def run(model: Any, length: int, with_library: Path | None = None) -> Callable[[], None]:
        return graphs.runner(model, "heads", length, THREADS, with_library)

    found: dict[str, Any] = {}
    for length, radii, rounds_wanted in ((4096, (128, 256), 7), (8192, (128,), 3)):
        candidates = {"plain": run(graphs.plain("heads"), length)}
        if length == 4096:  # as exported models have it
            candidates["plain, masked"] = run(graphs.plain("heads", masked=True), length)
        for radius in radii:
            candidates[f"body {radius}"] = run(graphs.local("heads", radius, radius), length)
            if library is not None:
                candidates[f"kernel {radius}"] = run(graphs.local("heads", radius, radius), length, library)
        rounds = interleaved(candidates, warm_up=1, rounds_wanted=rounds_wanted, runs=1)
        for name in candidates:
            found[f"{length} tokens, {name}"] = {
                "ms": statistics.median(rounds[name]),
                "times_faster_than_plain": times_faster(rounds, "plain", name),
                "than_masked": times_faster(rounds, "plain, masked", name) if "plain, masked" in rounds else None,
            }
    return found


def time_per_token(library: Path | None) -> dict[str, dict[int, float]]:
    """Microseconds a token at radius 128, by length; plain attention has no room for 16,384 (13 GB of scores)."""
    found: dict[str, dict[int, float]] = {}
    for name, used in (("body", None), ("kernel", library)):
        if name == "kernel" and library is None:
            continue
        runs: dict[str, Callable[[], object]] = {
            str(length): graphs.runner(graphs.local("heads", RADIUS, RADIUS), "heads", length, THREADS, used)
            for length in LONG_LENGTHS
        }
        rounds = interleaved(runs, warm_up=2, rounds_wanted=7, runs=1)
        found[name] = {length: 1e3 * statistics.median(rounds[str(length)]) / length for length in LONG_LENGTHS}
    return found


def never_slower(library: Path | None) -> list[dict[str, Any]]:
    """Six layers from rows to rows, one mask for all: the default rule against full attention with the same mask.

    "masked": in standard operators, as exported; "fused": ONNX Runtime's MultiHeadAttention with that key mask, and
    without any, which is faster and right for texts without padding alone.
    """
    table: list[dict[str, Any]] = []
    for radius in (128, 256):
        for length in SHORT_LENGTHS:
            rule = graphs.local("rows", radius, radius, dense_below=DENSE_RADII * radius + DENSE_POSITIONS)
            models = {
                "masked": (graphs.plain("rows", masked=True), None),
                "fused": (graphs.fused("rows", masked=True), None),
                "fused, no mask": (graphs.fused("rows"), None),
                "ours": (rule, None),
                **({"ours, kernel": (rule, library)} if library is not None else {}),
            }
            candidates = {
                name: graphs.runner(graphs.stacked(model, STACKED_LAYERS), "rows", length, THREADS, used)
                for name, (model, used) in models.items()
            }
            rounds = interleaved(candidates, warm_up=3, rounds_wanted=7, runs=max(1, 512 // length))
            row: dict[str, Any] = {"radius": radius, "tokens": length}
            row |= {f"{name}, ms": statistics.median(values) for name, values in rounds.items()}
            for name in ("ours", "ours, kernel"):
                if name in candidates:
                    row |= {
                        f"{name} / {other}": 1 / times_faster(rounds, other, name)
                        for other in ("masked", "fused", "fused, no mask")
                    }
            table.append(row)
    return table


def extra_memory(library: Path | None) -> dict[str, float]:
    """MiB that attention over 4,096 tokens took beyond what was resident before, each in a process of its own."""
    found = {}
    for name, way, used in (
        ("plain", "plain:0", None),
        ("body 128", "local:128", None),
        ("body 256", "local:256", None),
        ("kernel 128", "local:128", library),
        ("kernel 256", "local:256", library),
    ):
        if name.startswith("kernel") and library is None:
            continue
        worker = start(f"attention:{way}", 4096, used)
        try:
            worker()
            found[name] = (peak_bytes(worker) - int(worker.label)) / 2**20
        finally:
            worker.close()
    return found


def encoder(library: Path | None) -> dict[str, Any]:
    """12 layers at 4,096 tokens; time in turns, peak memory of each process."""
    made = files(FOLDER)
    wanted: dict[str, tuple[Path, Path | None]] = {
        "ONNX Runtime fp32, full": (made["fp32-full"], None),
        "int8, full, onnx": (made["int8-full"], None),
        f"int8, radius {RADIUS}, onnx": (made["int8-local"], None),
        f"int8, radius {RADIUS}, tflite": (made["int8-local-tflite"], None),
    }
    if library is not None:
        wanted[f"int8, radius {RADIUS}, onnx with the kernel"] = (made["int8-local"], library)
    baseline = next(iter(wanted))
    workers = {name: start(str(path), LONGEST, used) for name, (path, used) in wanted.items()}
    try:
        rounds = interleaved(workers, warm_up=1, rounds_wanted=3, runs=1)
        peaks = {name: peak_bytes(worker) for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.close()
    return {
        name: {
            "ms": statistics.median(rounds[name]),
            "times_faster": times_faster(rounds, baseline, name),
            "peak_mib": peaks[name] / 2**20,
            "share_of_peak": peaks[name] / peaks[baseline],
        }
        for name in wanted
    }


def start(name: str, length: int, library: Path | None) -> Worker:
    """A worker that runs ``name``."""
    arguments = [name, str(length), str(THREADS), *([str(library)] if library else [])]
    return Worker(Path(sys.executable), HERE / "local_attention_worker.py", *arguments)


def peak_bytes(worker: Worker) -> int:
    """The largest memory that the worker's process has had resident."""
    lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


PARTS: dict[str, Callable[[Path | None], Any]] = {
    "encoder": encoder,
    "alone": attention_alone,
    "us_per_token": time_per_token,
    "extra_mib": extra_memory,
    "never_slower": never_slower,
}


def main(wanted: Sequence[str] = tuple(PARTS)) -> None:
    """Measure the wanted parts, print tables, and put the figures into results.json beside those of other parts."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    library, path = kernels(WORK), FOLDER / "results.json"
    print(f"\nLocal attention, 12 heads of 64, fp32, {THREADS} threads" + ("" if library else "; no kernels here"))
    for part in wanted:
        found = {"machine": machine(), "kernels": library is not None, "figures": PARTS[part](library)}
        held = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**held, part: found}, indent=1) + "\n")
        print_part(part, found["figures"])


def print_part(part: str, found: Any) -> None:
    """One table."""
    print(f"\n{part}")
    rows = (
        found
        if isinstance(found, list)
        else [{"": name, **(value if isinstance(value, dict) else {"value": value})} for name, value in found.items()]
    )
    columns = [str(column) for column in rows[0]]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        cells = (
            f"{value:.3g}"
            if isinstance(value, float) and value < 1000
            else f"{value:.0f}"
            if isinstance(value, float)
            else str(value)
            for value in row.values()
        )
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or tuple(PARTS))
