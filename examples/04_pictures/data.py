"""1,797 scanned digits of scikit-learn (8x8 greys, from the UCI set), as PNG files in a folder per label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZES = {"train": 897, "calibration": 300, "evaluation": 600}


def write_pictures(directory: Path) -> dict[str, Path]:
    """{split: its folder}; the order is the set's own, in which writers don't mix."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    first = 0
    folders = {}
    for split, count in SIZES.items():
        folders[split] = directory / split
        for index in range(first, first + count):
            folder = folders[split] / f"digit-{digits.target[index]}"
            folder.mkdir(parents=True, exist_ok=True)
            grey = (digits.images[index] * (255 / 16)).round().astype(np.uint8)
            Image.fromarray(grey).save(folder / f"{index}.png")
        first += count
    return folders
