"""Pillow's resizing as its version 13 does it, on any version."""

import numpy as np
from PIL import Image, __version__

NUMBERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
CHOOSES_ITS_ORDER = int(__version__.split(".")[0]) >= 13


def resized(pixels, size, filter_name):
    """uint8 [height, width, channels] of uint8 ``pixels`` of the same axes."""
    height, width = size
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if not CHOOSES_ITS_ORDER and filter_name != "nearest":
        lost_rows, lost_columns = image.height - height, image.width - width
        rows_first = lost_rows > 0 and lost_rows > 2 * lost_columns
        image = image.resize((image.width, height) if rows_first else (width, image.height), NUMBERS[filter_name])
    return np.asarray(image.resize((width, height), NUMBERS[filter_name])).reshape(height, width, -1)
