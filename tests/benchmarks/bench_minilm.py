"""all-MiniLM-L6-v2 with the demo's adapter on BBC news: presets against ONNX Runtime fp32 and its own quantizer."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from peers import export_float32, ort_session, quantize_dynamic, random_feeds
from timing import interleaved, ratios

import edgeformer as ef
from edgeformer.data.encoding import encode
from edgeformer.evaluation.paired import wilson_interval
from edgeformer.rows.samples import read_samples
from edgeformer.tasks import get_task
from edgeformer_runtime import Session

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "bench"
LENGTH = 128
PRESETS = ("int8", "balanced", "small")
sys.path.insert(0, str(ROOT / "examples" / "01_news_on_four_devices"))


def main() -> None:
    """Print the table of sizes, ratios, accuracy and agreement."""
    adapter, splits = _adapter_and_data()
    source = _merged(adapter)
    rows = _rows(splits, source)
    fp32 = export_float32(source, WORK / "minilm-fp32.onnx")
    dynamic = quantize_dynamic(fp32, WORK / "minilm-ort-dynamic.onnx")
    bundles = {preset: _compile(preset, adapter, splits) for preset in PRESETS}
    runs, sizes = _candidates(fp32, dynamic, bundles)
    feeds = random_feeds(LENGTH)
    rounds = interleaved({name: lambda run=run: run(feeds) and None for name, run in runs.items()})
    factor = ratios(rounds, "ONNX Runtime fp32")
    outputs = {name: [_row(run(row)) for row in rows.feeds] for name, run in runs.items()}
    before = outputs["ONNX Runtime fp32"]
    low, high = wilson_interval(get_task(source.task).metric(before, rows.targets).value * len(before), len(before))
    print(f"\nall-MiniLM-L6-v2, BBC news, {len(rows.feeds)} held-out documents, {LENGTH} tokens, batch 1")
    print(
        "| variant | MB | smaller by | ms | ratio to fp32 | faster by | accuracy | agreement |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for name in runs:
        found = get_task(source.task).metric(outputs[name], rows.targets).value
        same = get_task(source.task).agreement(outputs[name], before)
        print(
            f"| {name} | {sizes[name] / 1e6:.1f} | {sizes['ONNX Runtime fp32'] / sizes[name]:.2f}x | "
            f"{statistics.median(rounds[name]):.1f} | {factor[name]:.3f} | {1 / factor[name]:.2f}x | "
            f"{found * 100:.2f} % | {(same or 0) * 100:.2f} % |"
        )
    print(f"accuracy of fp32, 95 % interval: {low * 100:.1f} to {high * 100:.1f} %")
    _print_compile(adapter, splits)


def _adapter_and_data() -> tuple[Path, dict[str, Path]]:
    import demo
    from data import write_splits

    splits = write_splits(demo.WORK / "data")
    return demo.train_once(splits["train"]), splits


def _base() -> Path:
    from train_adapter import base_model

    return base_model()


def _merged(adapter: Path) -> ef.Model:
    from edgeformer.passes.base import PassContext, run_passes

    recipe = ef.Recipe.preset("float32").with_adapters((ef.AdapterSource(str(adapter)),))
    return run_passes(ef.load_model(_base(), adapters=[adapter]), recipe.steps, PassContext()).model


def _rows(splits: dict[str, Path], model: ef.Model):
    """Evaluation and held-out rows together: about a thousand."""
    import dataclasses

    parts = [
        encode(model.signature, read_samples(splits[name], model.task, evaluation=True), LENGTH)
        for name in ("evaluation", "held_out")
    ]
    return dataclasses.replace(
        parts[0], feeds=parts[0].feeds + parts[1].feeds, targets=parts[0].targets + parts[1].targets
    )


def _compile(preset: str, adapter: Path, splits: dict[str, Path]):
    return ef.compile(
        _base(),
        output=WORK / f"minilm-{preset}",
        adapters=[str(adapter)],
        recipe=preset,
        formats=["onnx", "tflite"],
        sequence_lengths=[32, LENGTH],
        evaluation=splits["evaluation"],
        max_drop=0.01,
        progress=lambda line: print(f"  {preset}: {line}", file=sys.stderr),
    )


def _candidates(fp32: Path, dynamic: Path, bundles) -> tuple[dict[str, Callable], dict[str, int]]:
    runs: dict[str, Callable] = {}
    sizes: dict[str, int] = {}
    for name, path in (("ONNX Runtime fp32", fp32), ("ONNX Runtime quantize_dynamic", dynamic)):
        session = ort_session(path)
        runs[name] = lambda feeds, session=session: {"logits": session.run(None, feeds)[0]}
        sizes[name] = path.stat().st_size
    for preset, bundle in bundles.items():
        for entry in bundle.manifest.variants:
            name = f"{preset}, {entry.format}"
            runs[name] = Session.open(bundle.path, variant=entry.name, threads=2).run
            sizes[name] = entry.size_bytes
    return runs, sizes


def _row(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(array[0], np.float32) for name, array in outputs.items()}


def _print_compile(adapter: Path, splits: dict[str, Path]) -> None:
    """Time and memory of compiling for all four devices, nothing kept from earlier runs, in a process of its own."""
    import subprocess

    import demo

    output = WORK / "minilm-four-devices"
    devices = [part for name in demo.DEVICES for part in ("--device", name)]
    start = time.monotonic()
    subprocess.run(
        [demo.EDGEFORMER, "compile", str(_base()), "-o", str(output), "--adapter", str(adapter), *devices,
         "--calibration", str(splits["calibration"]), "--evaluation", str(splits["evaluation"]), "--no-resume"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    seconds = time.monotonic() - start
    report = json.loads((output / "report.json").read_text())
    equal = {
        v["name"]: f"{v['facts']['bit_equal_layers']}/{sum(v['weight_formats'].values())}" for v in report["variants"]
    }
    print(
        f"\ncompile for {', '.join(demo.DEVICES)}: {seconds:.0f} s, peak {report['peak_memory_bytes'] / 2**30:.1f} GiB"
    )
    print("stages: " + ", ".join(f"{s['name']} {s['seconds']:.0f} s" for s in report["stages"]))
    print("layers read back bit-equal: " + ", ".join(f"{name} {count}" for name, count in equal.items()))


if __name__ == "__main__":
    WORK.mkdir(parents=True, exist_ok=True)
    main()
