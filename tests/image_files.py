"""Tiny image classifiers in directories as people save them, and pictures in a folder per label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tiny_images
from PIL import Image

COLORS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (20, 40, 230)}


def save_model(directory: Path, name: str = "vit", **settings) -> Path:
    """A tiny model with its image processor; labels are the colours."""
    import transformers

    labels = dict(enumerate(COLORS))
    module = tiny_images.tiny(name, id2label=labels, label2id={v: k for k, v in labels.items()}, **settings)
    module.save_pretrained(directory)
    side = tiny_images.MODELS[name][2]["image_size"]
    transformers.ViTImageProcessor(size={"height": side, "width": side}).save_pretrained(directory)
    return directory


def save_pictures(directory: Path, rows: int = 12, seed: int = 0) -> Path:
    """``rows`` noisy pictures of odd sizes a colour, in a folder called by it."""
    rng = np.random.default_rng(seed)
    for label, color in COLORS.items():
        (directory / label).mkdir(parents=True, exist_ok=True)
        for index in range(rows):
            height, width = rng.integers(9, 60, 2)
            noise = rng.normal(0, 40, (height, width, 3)) + np.array(color)
            Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(directory / label / f"{index}.png")
    return directory
