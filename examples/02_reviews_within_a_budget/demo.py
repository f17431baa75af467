"""From a budget to a bundle, on a real model and real data.

1  Rotten Tomatoes sentences are split into rows to learn from and rows to judge on.
2  All of all-MiniLM-L6-v2 is fine-tuned on them (kept in build/reviews for the next time).
3  `edgeformer sensitivity` profiles what each layer can lose.
4  `edgeformer compile --recipe auto` finds formats layer by layer that meet a size and an allowed drop.
5  `edgeformer compile --recipe tiny` prunes a third of the heads and half of the channels, recovers by distillation,
   trims the vocabulary, and quantizes with GPTQ.
6  One table, every latency interleaved with float32's in one run.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from data import write_splits

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WORK = ROOT / "build" / "reviews"
EDGEFORMER = str(Path(sys.executable).with_name("edgeformer"))
FORMATS = ("--format", "onnx", "--format", "tflite", "--format", "coreml", "--sequence-lengths", "64")
LENGTH, THREADS, ROUNDS, RUNS = 64, 2, 10, 10


def step(title: str) -> None:
    print(f"\n=== {title}", flush=True)


def edgeformer(*arguments: str | Path) -> None:
    subprocess.run([EDGEFORMER, *map(str, arguments)], check=True)


def train_once(rows: Path) -> Path:
    """The model's directory; trained again only when its script or its rows changed."""
    from train_model import train

    key = hashlib.sha256((HERE / "train_model.py").read_bytes() + rows.read_bytes()).hexdigest()[:16]
    model = WORK / f"model-{key}"
    if not (model / "tokenizer.json").is_file():  # the last thing that training writes
        train(rows, model)
    return model


def compile_bundles(model: Path, splits: dict[str, Path]) -> dict[str, Path]:
    """The uncompressed baseline, the bundle within the budget, and the smallest one."""
    data = (
        "--training", splits["train"], "--calibration", splits["calibration"], "--evaluation", splits["evaluation"],
    )  # fmt: skip
    bundles = {name: WORK / name for name in ("float32", "auto", "tiny")}
    edgeformer("compile", model, "-o", bundles["float32"], "--recipe", "float32", "--format", "onnx", *data)
    edgeformer("compile", model, "-o", bundles["auto"], "--recipe", "auto", *FORMATS, *data,
               "--max-size", "13MB", "--max-drop", "0.01")  # fmt: skip
    edgeformer("compile", model, "-o", bundles["tiny"], "--recipe", "tiny", *FORMATS, *data, "--max-drop", "0.03")
    return bundles


def faster_by(bundles: dict[str, Path]) -> dict[tuple[str, str], float]:
    """{(bundle, variant): float32's latency / its latency}, medians of rounds in which every session runs."""
    from edgeformer_runtime import Bundle, Session

    sessions = {}
    for name, path in bundles.items():
        with Bundle.open(path) as bundle:
            names = [entry.name for entry in bundle.manifest.variants if entry.engine in ("onnxruntime", "litert")]
        for variant in names:
            sessions[name, variant] = Session.open(path, variant=variant, threads=THREADS)
    ids = np.full((1, LENGTH), 1, np.int64)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    rounds: dict[tuple[str, str], list[float]] = {key: [] for key in sessions}
    for _ in range(ROUNDS):
        for key, session in sessions.items():
            session.run(feeds)
            times = []
            for _ in range(RUNS):
                start = time.perf_counter()
                session.run(feeds)
                times.append(time.perf_counter() - start)
            rounds[key].append(statistics.median(times))
    for session in sessions.values():
        session.close()
    base = rounds["float32", "onnx"]
    return {key: statistics.median(b / t for b, t in zip(base, times, strict=True)) for key, times in rounds.items()}


def print_table(bundles: dict[str, Path]) -> None:
    speed = faster_by(bundles)
    manifests = {name: json.loads((path / "manifest.json").read_text("utf-8")) for name, path in bundles.items()}
    full = manifests["float32"]["variants"][0]["size_bytes"]
    print(f"{'bundle':8}  {'variant':8}  {'MB':>5}  {'smaller by':>10}  {'faster by':>12}  {'accuracy':>8}  agreement")
    for name, manifest in manifests.items():
        for entry in manifest["variants"]:
            found, ratio = entry["verification"], speed.get((name, entry["name"]))
            print(
                f"{name:8}  {entry['name']:8}  {entry['size_bytes'] / 1e6:5.1f}  "
                f"{full / entry['size_bytes']:9.1f}x  {f'{ratio:.1f}x' if ratio else 'not run here':>12}  "
                f"{found['metric'] * 100:6.1f} %  {found['agreement'] * 100:.1f} %"
            )
    low, high = manifests["float32"]["metrics"]["uncompressed"]["metric_interval_95"]
    print(f"\nAccuracy on 1,000 held-out sentences, 95 % interval of float32 {low * 100:.1f} to {high * 100:.1f} %.")
    print(f"Latency: {LENGTH} tokens, batch 1, {THREADS} threads, on this machine, no device.")
    print(f"What each layer became, and why: {(bundles['auto'] / 'report.html').relative_to(ROOT)}")


def main() -> None:
    start = time.monotonic()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    step("1  data")
    splits = write_splits(WORK / "data")
    step("2  fine-tune")
    model = train_once(splits["train"])
    step("3  sensitivity")
    edgeformer("sensitivity", model, "--calibration", splits["calibration"], "-o", WORK / "profile.json")
    step("4  compile: within a budget, then as small as it gets")
    bundles = compile_bundles(model, splits)
    step("5  result")
    print_table(bundles)
    print(f"\n{time.monotonic() - start:.0f} s in all")


if __name__ == "__main__":
    main()
