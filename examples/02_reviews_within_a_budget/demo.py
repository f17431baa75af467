"""From a budget to a bundle, on a real model and real data.

1  Rotten Tomatoes sentences are split into rows to learn from and rows to judge on.
2  All of all-MiniLM-L6-v2 is fine-tuned on them (kept in build/reviews for the next time).
3  `edgeformer sensitivity` profiles what each layer can lose.
4  `edgeformer compile --recipe auto` finds formats layer by layer that meet a size and an allowed drop.
5  `edgeformer compile --recipe tiny` prunes a third of the heads and half of the channels, recovers by distillation
   (one epoch here; the recipe's own number takes some minutes more), trims the vocabulary, and quantizes with GPTQ.

With --quick there are fewer rows, and a drop on 400 of them is allowed to be larger: the way is the same, its figures
are worth less. A model that learned so little has outputs near zero, whose direction rounding turns further: the metric
judges them, and the gate's cosine is asked for less.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from data import QUICK, WHOLE, write_splits

from edgeformer_runtime.terminal import only_our_lines

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
WORK = ROOT / "build" / "reviews"
EDGEFORMER = str(Path(sys.executable).with_name("edgeformer"))
FORMATS = ("--format", "onnx", "--format", "tflite", "--sequence-lengths", "64")


def step(title: str) -> None:
    print(f"\n=== {title}", flush=True)


def edgeformer(*arguments: str | Path) -> None:
    subprocess.run([EDGEFORMER, *map(str, arguments)], check=True)


def train_once(rows: Path) -> Path:
    """The model's directory; trained again only when its script or its rows changed."""
    key = hashlib.sha256((HERE / "train_model.py").read_bytes() + rows.read_bytes()).hexdigest()[:16]
    model = WORK / f"model-{key}"
    if not (model / "tokenizer.json").is_file():  # the last thing that training writes
        with only_our_lines():  # training's libraries have much to say
            from train_model import train

            train(rows, model)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows, in less time")
    quick = parser.parse_args().quick
    small_drop, large_drop = ("0.02", "0.05") if quick else ("0.01", "0.03")
    floor = ("--set", "gate.min_cosine_integer_activations=0.95") if quick else ()
    start = time.monotonic()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    step("1  data")
    splits = write_splits(WORK / "data", QUICK if quick else WHOLE)
    step("2  fine-tune")
    model = train_once(splits["train"])
    data = (
        "--training", splits["train"], "--calibration", splits["calibration"], "--evaluation", splits["evaluation"],
    )  # fmt: skip
    step("3  what each layer can lose")
    edgeformer("sensitivity", model, "--calibration", splits["calibration"], "-o", WORK / "profile.json")
    step(f"4  within a budget: at most 13 MB, and a drop of {small_drop}")
    edgeformer("compile", model, "-o", WORK / "auto", "--recipe", "auto", *FORMATS, *data,
               "--max-size", "13MB", "--max-drop", small_drop, *floor)  # fmt: skip
    step(f"5  as small as it gets, with a drop of at most {large_drop}")
    edgeformer("compile", model, "-o", WORK / "tiny", "--recipe", "tiny", *FORMATS, *data,
               "--set", "recover.epochs=1", "--max-drop", large_drop, *floor)  # fmt: skip
    print(f"\nWhat each layer became, and why: {(WORK / 'auto' / 'report.html').relative_to(ROOT)}")
    print(f"{time.monotonic() - start:.0f} s in all")


if __name__ == "__main__":
    main()
