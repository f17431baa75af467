"""A classifier of 512 tokens reads documents of 4,096, at a cost that grows with their length: `make demo-long`.

1  BBC news is split; rows to judge on are articles of more than 512 tokens, cut at 1,024, that nothing learned from.
2  all-MiniLM-L6-v2 is fine-tuned on it (kept in build/long for the next time).
3  `edgeformer compile` with local.toml: positions for 4,096 tokens, windows of 128 tokens to each side, a brief
   recovery, int8. Refused if accuracy falls by more than three points from the same model with full attention: of a
   hundred articles, so few that the example stays brief, one is a point. `--articles 1000` judges all there are.
4  The same with full attention, to measure against.
5  `edgeformer-run predict --file` on the longest article, without the native kernels and with them.
6  Time and memory against length.

With --quick fewer articles teach and judge, and time is taken at three lengths: the same way, for a first look. A model
that learned so little has outputs near zero, whose direction rounding turns further: the metric judges them, and the
gate's cosine is asked for less.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from data import TRAINING_ROWS, Splits, write_splits

from edgeformer_runtime.terminal import only_our_lines

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WORK = ROOT / "build" / "long"
BIN = Path(sys.executable).parent
# the integers' rounding meets sums in another order; probabilities then differ in the last places
SAME_WITHIN = 0.02


def step(title: str) -> None:
    print(f"\n=== {title}", flush=True)


def edgeformer(*arguments: str | Path) -> None:
    subprocess.run([str(BIN / "edgeformer"), *map(str, arguments)], check=True)


def train_once(rows: Path) -> Path:
    """The model's directory; trained again only when its script or its rows changed."""
    key = hashlib.sha256((HERE / "train_model.py").read_bytes() + rows.read_bytes()).hexdigest()[:16]
    model = WORK / f"model-{key}"
    if not (model / "tokenizer.json").is_file():  # the last thing that training writes
        with only_our_lines():  # training's libraries have much to say
            from train_model import train

            train(rows, model)
    return model


def compile_bundles(model: Path, splits: Splits, max_drop: str, floor: tuple[str, ...]) -> tuple[Path, Path]:
    """The local bundle and the full one, both judged by the metric."""
    local, full = WORK / "local", WORK / "full"
    judged = ("--calibration", splits.calibration, "--evaluation", splits.evaluation, "--max-drop", max_drop, *floor)
    step("3  compile with local attention")
    edgeformer(
        "compile", model, "-o", local, "--recipe", HERE / "local.toml", "--format", "onnx", "--format", "tflite",
        "--training", splits.recovery, *judged,
    )  # fmt: skip
    step("4  compile with full attention")
    edgeformer("compile", model, "-o", full, "--recipe", HERE / "full.toml", "--format", "onnx", *judged)
    return local, full


def print_accuracy(bundle: Path) -> None:
    """Each variant against the same model with full attention, row by row."""
    report = json.loads((bundle / "report.json").read_text(encoding="utf-8"))
    metrics = report["metrics"]
    print(f"\n{metrics['samples']} articles of 513 to 1,024 tokens that nothing was learned from")
    print(f"full attention, float32, torch: {metrics['uncompressed']['metric'] * 100:.1f} % right")
    for variant in report["variants"]:
        found = variant["verification"]
        print(f"local attention, int8, {variant['name']}: {found['metric'] * 100:.1f} % right, ", end="")
        print(f"{found['agreement'] * 100:.1f} % as with full attention;\n  {variant['statistics']['claim']}")


def build_kernels() -> Path | None:
    """A folder with the wheel of runtime/kernels unpacked; None, with the reason printed, where it can't be built."""
    target, source = WORK / "kernels", ROOT / "runtime" / "kernels"
    library = target / "edgeformer_kernels" / "libedgeformer_kernels.so"
    newest = max(path.stat().st_mtime for path in source.rglob("*") if path.is_file())
    if library.is_file() and library.stat().st_mtime > newest:
        return target
    if shutil.which("c++") is None:
        print("there is no C++ compiler (c++) on the PATH, so the native kernels are left out")
        return None
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(target)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"the native kernels can't be built, and are left out:\n{done.stderr.strip()[-500:]}")
        return None
    return target


def predict(bundle: Path, article: Path, kernels: Path | None) -> dict[str, Any]:
    """What `edgeformer-run predict` says of the article, as JSON; printed as its user sees it, too."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if kernels is not None:
        environment["PYTHONPATH"] = str(kernels)
    command = [str(BIN / "edgeformer-run"), "predict", str(bundle), "--file", str(article), "--variant", "onnx"]
    subprocess.run(command, check=True, env=environment)
    done = subprocess.run([*command, "--json"], check=True, env=environment, stdout=subprocess.PIPE, text=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def run_with_and_without(bundle: Path, article: Path, kernels: Path | None) -> None:
    """One bundle file, first without the kernels, then with them: equal outputs, and the line that proves which ran."""
    print("--- without the kernels", flush=True)
    portable = predict(bundle, article, None)
    if kernels is None:
        return
    print("--- with the kernels", flush=True)
    fused = predict(bundle, article, kernels)
    if not any("fused kernel" in note for note in fused["delegation"]):
        print("the kernels were built, but don't run here; see the line above")
        return
    pairs = [(said["results"][0]["scores"]) for said in (portable, fused)]
    difference = max(abs(pairs[0][label] - pairs[1][label]) for label in pairs[0])
    print(f"largest difference of a probability between the two: {difference:.6f}")
    if difference > SAME_WITHIN:
        raise SystemExit(f"the outputs differ by more than {SAME_WITHIN}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--articles", type=int, help="how many to judge on, at most (default: 100, with --quick 40)")
    parser.add_argument("--quick", action="store_true", help="fewer rows and lengths, in less time")
    options = parser.parse_args()
    articles, training, max_drop = (40, 400, "0.05") if options.quick else (100, TRAINING_ROWS, "0.03")
    floor = ("--set", "gate.min_cosine_integer_activations=0.95") if options.quick else ()
    start = time.monotonic()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from train_model import base_model

    step("1  data")
    with only_our_lines():
        splits = write_splits(WORK / "data", base_model() / "tokenizer.json", training, options.articles or articles)
    step("2  fine-tune")
    model = train_once(splits.train)
    local, full = compile_bundles(model, splits, max_drop, floor)
    print_accuracy(local)
    step("5  one document")
    article = WORK / "article.txt"
    article.write_text(splits.longest_text, encoding="utf-8")
    print(f"the longest article that nothing was learned from, of {splits.longest_label}")
    kernels = build_kernels()
    run_with_and_without(local, article, kernels)
    step("6  time and memory against length, on this machine")
    environment = dict(os.environ) if kernels is None else {**os.environ, "PYTHONPATH": str(kernels)}
    lengths = ["--lengths", "128,1024,4096"] if options.quick else []
    command = [sys.executable, str(HERE / "scaling.py"), str(local), str(full), *lengths]
    subprocess.run(command, check=True, env=environment)
    print(f"\n{time.monotonic() - start:.0f} s in all. The bundle is {local.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
