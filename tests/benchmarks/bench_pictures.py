"""DINOv2's ViT-S with its own weights and a linear head for scanned digits: presets against ONNX Runtime fp32."""

from __future__ import annotations

import importlib.util
import statistics
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from timing import THREADS, interleaved, ratios

import edgeformer as ef
from edgeformer_runtime import Bundle, Session

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "04_pictures"
WORK = ROOT / "build" / "bench-pictures"
REFERENCE = "ONNX Runtime fp32"
# name: preset, its settings
RECIPES = {
    "int8": ("int8", ()),
    "small, gptq": ("small", ("quantize.algorithm=gptq", "gate.min_cosine_integer_activations=0.98")),
}


def main() -> None:
    """Print the table of sizes, ratios, accuracy and agreement."""
    data, training = _module("data"), _module("train_model")
    splits = data.write_pictures(WORK / "data")
    model = WORK / "model"
    if not (model / "preprocessor_config.json").is_file():
        training.train(splits["train"], WORK, model)
    full = ef.compile(model, output=WORK / "float32", recipe="float32", formats=("onnx",))
    bundles = {name: _compiled(model, name, splits) for name in RECIPES}
    sessions = {REFERENCE: Session.open(full.path, variant="onnx", threads=THREADS)}
    for name, bundle in bundles.items():
        for entry in bundle.manifest.variants:
            opened = Session.open(bundle.path, variant=entry.name, threads=THREADS)
            sessions[f"edgeformer {name}, {entry.name}"] = opened
    side = training.SIDE
    feeds = {"pixel_values": np.random.default_rng(0).standard_normal((1, 3, side, side)).astype(np.float32)}
    rounds = interleaved({name: lambda run=session.run: run(feeds) and None for name, session in sessions.items()})
    factor = ratios(rounds, REFERENCE)
    metrics = bundles["int8"].manifest.metrics
    print(f"\nDINOv2 ViT-S/14 at {side}x{side}, {metrics['samples']} held-out pictures, batch 1, {THREADS} threads")
    print("| variant | MB | ms | faster by | accuracy | fall | agreement with fp32 |\n|---|---|---|---|---|---|---|")
    whole = full.manifest.variants[0]
    print(f"| {REFERENCE} | {whole.size_bytes / 1e6:.1f} | {statistics.median(rounds[REFERENCE]):.1f} | 1.00x | "
          f"{metrics['uncompressed']['metric'] * 100:.1f} % | | |")  # fmt: skip
    for name, bundle in bundles.items():
        for entry in bundle.manifest.variants:
            label, found = f"edgeformer {name}, {entry.name}", entry.verification
            print(
                f"| {label} | {entry.size_bytes / 1e6:.1f} | {statistics.median(rounds[label]):.1f} | "
                f"{1 / factor[label]:.2f}x | {found.metric * 100:.1f} % | {found.metric_drop * 100:+.2f} points | "
                f"{found.agreement * 100:.1f} % |"
            )
    low, high = metrics["uncompressed"]["metric_interval_95"]
    print(f"accuracy of fp32, 95 % interval: {low * 100:.1f} to {high * 100:.1f} %")
    for session in sessions.values():
        session.close()


def _compiled(model: Path, name: str, splits: dict[str, Path]) -> Bundle:
    preset, settings = RECIPES[name]
    recipe = ef.Recipe.preset(preset)
    for setting in settings:
        recipe = recipe.with_setting(setting)
    return ef.compile(
        model, output=WORK / name.replace(", ", "-"), recipe=recipe, formats=("onnx", "tflite"), max_drop=0.05,
        calibration=splits["calibration"], evaluation=splits["evaluation"],
    )  # fmt: skip


def _module(name: str) -> ModuleType:
    """A file of the example, under a name that no other example's has."""
    spec = importlib.util.spec_from_file_location(f"pictures_{name}", EXAMPLE / f"{name}.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{EXAMPLE / name}.py can't be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
