"""Pictures to the input tensor that a bundle's numbers describe."""

from __future__ import annotations

import os
from typing import Dict, Sequence

import numpy as np

from ..errors import InputError
from .base import Encoded
from .image_decode import ImageSource, decode_image, to_grey
from .image_preprocess import ImagePreprocess, ImageResize
from .image_resize import resize

__all__ = ["ImageEncoder", "ImagePreprocess", "ImageResize", "ImageSource"]


class ImageEncoder:
    """Makes tensors of pictures; equal to transformers' processors on Pillow bit by bit, see FORMAT.md."""

    def __init__(self, preprocess: ImagePreprocess) -> None:
        self.preprocess = preprocess
        # A byte has 256 values, so that the arithmetic after resizing is a table: float32 [channels, 256].
        scaled = (np.arange(256, dtype=np.float64) * preprocess.rescale).astype(np.float32)
        mean, std = (np.array(values, np.float32)[:, np.newaxis] for values in (preprocess.mean, preprocess.std))
        self._table = (scaled - mean) / std

    def __call__(self, images: Sequence[ImageSource]) -> Dict[str, np.ndarray]:
        """{the input's name: float32 [batch, channels, height, width]} of paths, bytes, arrays or pictures of Pillow's.

        Arrays are uint8 [height, width], or with 1, 3 or 4 channels last. Raises InputError naming the picture that
        can't be read.
        """
        if not isinstance(images, (list, tuple)):
            raise InputError(f"expected a list of pictures, got {type(images).__name__}: put one picture in a list")
        batch = np.empty((len(images), *self.preprocess.shape), np.float32)
        for index, image in enumerate(images):
            self._fill(batch[index], image, str(image) if _is_path(image) else f"image {index}")
        return {self.preprocess.input: batch}

    def encode(self, image: ImageSource) -> Encoded:
        """One picture, ready to run: feeds {the input's name: float32 [1, channels, height, width]}."""
        pixels = np.empty((1, *self.preprocess.shape), np.float32)
        self._fill(pixels[0], image, str(image) if _is_path(image) else "image")
        return Encoded({self.preprocess.input: pixels})

    def _fill(self, out: np.ndarray, image: ImageSource, name: str) -> None:
        pixels = decode_image(image, name, self.preprocess.alpha)
        if self.preprocess.color == "L":
            pixels = to_grey(pixels)
        for plane, table, values in zip(self._placed(pixels.transpose(2, 0, 1), name), self._table, out):
            np.take(table, plane, out=values)

    def _placed(self, planes: np.ndarray, name: str) -> np.ndarray:
        """uint8 [channels, height, width] as the model takes it."""
        try:
            place = self.preprocess.place(*planes.shape[1:])
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        if self.preprocess.resize is None:
            rows, columns = (slice(start, start + size) for start, size in zip(place.part_start, place.part_size))
            part = planes[:, rows, columns]
        else:
            how = self.preprocess.resize
            part = resize(planes, place.resized, how.filter, place.part_start, place.part_size, how.cubic_a)
        if part.shape == self.preprocess.shape:
            return part
        placed = np.zeros(self.preprocess.shape, np.uint8)
        (top, left), (height, width) = place.offset, place.part_size
        placed[:, top : top + height, left : left + width] = part
        return placed


def _is_path(image: object) -> bool:
    return isinstance(image, (str, os.PathLike))
