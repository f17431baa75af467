"""A bundle of a real model, and what the Python runtime makes of real texts with each of its variants.

`python tests/apps/real_rows.py FOLDER [--rows N] [--recipe NAME]` writes FOLDER/bundle, with an ONNX and a TFLite
variant of all-MiniLM-L6-v2 and a head that tells news apart, and FOLDER/rows.jsonl, a text a line: {"text",
"variants": {name: {"outputs": {name: [numbers]}, "label", "score"}}}. Needs the extra `demo`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgeformer.cli import main as edgeformer
from edgeformer_runtime import Session
from edgeformer_runtime.preprocess.registry import make_encoder

sys.path.insert(0, str(Path(__file__).parents[1] / "tokenizers"))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "01_news_on_four_devices"))
from data import LABELS, read_documents
from texts import real_texts
from train_adapter import base_model

TRAINING_ROWS, MAX_LENGTH = 200, 64
SHARPNESS = 8  # of the scores: least squares gives 0 to 1, too little for a softmax


def write_model(folder: Path) -> None:
    """The model with a head by least squares on its own pooled output, which takes seconds."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_model())
    model = AutoModelForSequenceClassification.from_pretrained(
        base_model(), num_labels=len(LABELS), id2label=dict(enumerate(LABELS))
    ).eval()
    rows = read_documents()[:TRAINING_ROWS]
    with torch.no_grad():
        texts = [text for text, _ in rows]
        feeds = tokenizer(texts, truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="pt")
        pooled = model.bert(**feeds).pooler_output.double().numpy()
        wanted = SHARPNESS * np.eye(len(LABELS))[[LABELS.index(label) for _, label in rows]]
        middle = pooled.mean(axis=0)
        near = pooled - middle
        weight = np.linalg.solve(near.T @ near + np.eye(len(middle)), near.T @ (wanted - wanted.mean(axis=0)))
        model.classifier.weight.copy_(torch.from_numpy(weight.T))
        model.classifier.bias.copy_(torch.from_numpy(wanted.mean(axis=0) - middle @ weight))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def compile_bundle(folder: Path, recipe: str) -> Path:
    """FOLDER/bundle; its stages are kept in EDGEFORMER_CACHE."""
    with tempfile.TemporaryDirectory() as model:
        write_model(Path(model))
        shutil.rmtree(folder / "bundle", ignore_errors=True)
        formats = ("--format", "onnx", "--format", "tflite", "--sequence-lengths", str(MAX_LENGTH))
        status = edgeformer(["compile", model, "-o", str(folder / "bundle"), "--recipe", recipe, *formats])
    if status != 0:
        sys.exit(f"edgeformer compile: status {status}")
    return folder / "bundle"


def answers(bundle: Path, variant: str, texts: list[str]) -> list[dict[str, Any]]:
    """What the variant gives for each text, on one thread."""
    with Session.open(bundle, variant, threads=1, self_check="never") as session:
        (preprocess,) = session.manifest.preprocess
        encoder = make_encoder(preprocess, session.bundle.read, session.manifest.inputs)
        found = []
        for text in texts:
            outputs = session.run(encoder.encode_row((text, None)).feeds)
            (prediction,) = session.predict([text])
            numbers = {name: [float(value) for value in array.ravel()] for name, array in outputs.items()}
            found.append({"outputs": numbers, "label": prediction.label, "score": prediction.score})
    return found


def main() -> None:
    """As above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100, help="texts (default 100)")
    parser.add_argument("--recipe", default="float32", help="of edgeformer compile (default float32)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    bundle = compile_bundle(options.folder, options.recipe)
    print(f"bundle: {time.monotonic() - start:.0f} s", flush=True)
    start = time.monotonic()
    every = real_texts()
    texts = every[:: len(every) // options.rows][: options.rows]
    with Session.open(bundle, self_check="never") as session:
        names = [variant.name for variant in session.manifest.variants]
    found = {name: answers(bundle, name, texts) for name in names}
    with (options.folder / "rows.jsonl").open("w", encoding="ascii") as file:
        for index, text in enumerate(texts):
            variants = {name: rows[index] for name, rows in found.items()}
            file.write(json.dumps({"text": text, "variants": variants}) + "\n")
    print(f"{len(texts)} rows: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
