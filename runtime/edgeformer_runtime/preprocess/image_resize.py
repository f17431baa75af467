"""Resizing of uint8 pictures, equal to Pillow's `Image.resize` to the byte, in numpy.

Pillow filters along one axis, rounds to bytes, then filters along the other. Its weights are integers of 22
fractional bits, and sums of such weights times bytes have less than 53 bits, so that a matrix product in float64 is
exact in any order.
"""

from __future__ import annotations

import math
from typing import Callable, Dict, Tuple

import numpy as np

_BITS = 22  # 32 of a sum, less 8 of a pixel, less 2 for weights beyond 1 and below 0
_BLOCK = 32  # outputs of one matrix product: more waste zeros of its band, fewer waste calls
_MAX_BLOCK_VALUES = 1 << 22  # of one matrix: 32 MB
_STRIP_VALUES = 1 << 17  # pixels of one product: 1 MB, which a cache holds


def resize(
    planes: np.ndarray,
    size: Tuple[int, int],
    filter_name: str,
    start: Tuple[int, int],
    part: Tuple[int, int],
    cubic_a: float = -0.5,
) -> np.ndarray:
    """The ``part`` (rows, columns) from ``start`` on of ``planes`` resized to ``size`` (height, width).

    ``planes``: uint8 [channels, height, width], of any strides. Only what the part needs is computed. Returns uint8
    [channels, *part], which may be a view of ``planes``.
    """
    sides = planes.shape[1:]
    if filter_name == "nearest":
        rows, columns = (_nearest(*axis) for axis in zip(sides, size, start, part))
        return planes[:, rows[:, np.newaxis], columns]
    axes = [
        (_Band(inputs, outputs, filter_name, cubic_a), first, count)
        for inputs, outputs, first, count in zip(sides, size, start, part)
    ]
    if size[0] < sides[0] and sides[0] - size[0] > 2 * (sides[1] - size[1]):  # as Pillow 13 chooses, for speed
        return _filtered_twice(planes.transpose(0, 2, 1), axes[1], axes[0]).transpose(0, 2, 1)
    return _filtered_twice(planes, axes[0], axes[1])


def _filtered_twice(planes: np.ndarray, later: "_Axis", sooner: "_Axis") -> np.ndarray:
    """``planes`` [channels, later axis, sooner axis], filtered along the last axis first."""
    band, start, count = later
    first, last = band.reach(start, start + count)
    once = sooner[0].filtered(planes[:, first:last], *sooner[1:])
    return band.filtered(once.transpose(0, 2, 1), start, count, first).transpose(0, 2, 1)


class _Band:
    """The weights that make ``outputs`` pixels of ``inputs``: a band around the diagonal of a matrix.

    Formulas: Pillow's src/libImaging/Resample.c, precompute_coeffs and normalize_coeffs_8bpc.
    """

    def __init__(self, inputs: int, outputs: int, filter_name: str, cubic_a: float) -> None:
        self._identity = inputs == outputs
        self._inputs = inputs
        self._scale = inputs / outputs
        self._stretch = max(self._scale, 1.0)  # a picture that grows isn't smoothed
        radius, self._filter = _FILTERS[filter_name]
        self._support = radius * self._stretch
        self._cubic_a = cubic_a

    def reach(self, start: int, stop: int) -> Tuple[int, int]:
        """The inputs that the outputs from ``start`` to ``stop`` are made of."""
        if self._identity:
            return start, stop
        return int(self._bounds(np.array([start]))[0][0]), int(self._bounds(np.array([stop - 1]))[1][0])

    def filtered(self, planes: np.ndarray, start: int, count: int, skipped: int = 0) -> np.ndarray:
        """Outputs ``start`` to ``start + count`` along the last axis of ``planes``, which lacks ``skipped`` inputs."""
        if self._identity:
            return planes[..., start - skipped : start - skipped + count]
        channels, rows = planes.shape[:2]
        result = np.empty((channels, rows, count), np.uint8)
        block = self._block()
        for low in range(0, count, block):
            outputs = np.arange(start + low, start + min(low + block, count))
            first, weights = self._weights(outputs)
            source = planes[..., first - skipped : first - skipped + len(weights)]
            strip = max(1, _STRIP_VALUES // (channels * len(weights)))
            for row in range(0, rows, strip):
                pixels = source[:, row : row + strip].astype(np.float64, order="C")
                result[:, row : row + strip, low : low + block] = _rounded(pixels @ weights)
        return result

    def _block(self) -> int:
        """How many outputs one matrix makes: as many as keep it small."""
        block = _BLOCK
        while block > 1 and block * (block * self._scale + 2 * self._support) > _MAX_BLOCK_VALUES:
            block //= 2
        return block

    def _bounds(self, outputs: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        centers = (outputs + 0.5) * self._scale
        low = np.maximum((centers - self._support + 0.5).astype(np.int64), 0)
        return low, np.minimum((centers + self._support + 0.5).astype(np.int64), self._inputs)

    def _weights(self, outputs: np.ndarray) -> Tuple[int, np.ndarray]:
        """The first input, and float64 [inputs from there on, outputs]: multiples of 2^-22."""
        low, high = self._bounds(outputs)
        inputs = np.arange(low[0], high[-1])[:, np.newaxis]
        centers = (outputs + 0.5) * self._scale
        weights = self._filter((inputs - centers + 0.5) * (1.0 / self._stretch), self._cubic_a)
        weights[(inputs < low) | (inputs >= high)] = 0.0
        sums = np.add.accumulate(weights, axis=0)[-1]  # one after the other, as Pillow adds: sum() adds in pairs
        weights /= np.where(sums == 0.0, 1.0, sums)
        steps = np.trunc(weights * (1 << _BITS) + np.where(weights < 0, -0.5, 0.5))
        return int(low[0]), steps / (1 << _BITS)


_Axis = Tuple[_Band, int, int]  # and which of its outputs are wanted: the first, and how many


def _rounded(sums: np.ndarray) -> np.ndarray:
    """The nearest byte, halves upwards."""
    sums += 0.5
    return np.clip(sums, 0, 255, out=sums).astype(np.uint8)


def _nearest(inputs: int, outputs: int, start: int, count: int) -> np.ndarray:
    """The input of each output. Pillow adds the step again and again, so that its rounding errors add up too."""
    step = inputs / outputs
    steps = np.full(start + count, step)
    steps[0] = step * 0.5
    indices: np.ndarray = np.add.accumulate(steps)[start:].astype(np.int64)
    return indices


def _box(x: np.ndarray, _: float) -> np.ndarray:
    return np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)


def _triangle(x: np.ndarray, _: float) -> np.ndarray:
    return np.where(np.abs(x) < 1.0, 1.0 - np.abs(x), 0.0)


def _hamming(x: np.ndarray, _: float) -> np.ndarray:
    angle = np.abs(x) * math.pi
    near = np.where(angle == 0.0, 1.0, angle)
    window = np.sin(near) / near * (0.54 + 0.46 * np.cos(near))
    return np.where(angle == 0.0, 1.0, np.where(np.abs(x) >= 1.0, 0.0, window))


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys, "Cubic convolution interpolation for digital image processing", 1981."""
    x = np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _lanczos(x: np.ndarray, _: float) -> np.ndarray:
    return np.where((x >= -3.0) & (x < 3.0), _sinc(x) * _sinc(x / 3.0), 0.0)


def _sinc(x: np.ndarray) -> np.ndarray:
    angle = x * math.pi
    near = np.where(angle == 0.0, 1.0, angle)
    return np.where(angle == 0.0, 1.0, np.sin(near) / near)


# name: how far it reaches at scale 1, and its weight at a distance
_FILTERS: Dict[str, Tuple[float, Callable[[np.ndarray, float], np.ndarray]]] = {
    "box": (0.5, _box),
    "bilinear": (1.0, _triangle),
    "hamming": (1.0, _hamming),
    "bicubic": (2.0, _cubic),
    "lanczos": (3.0, _lanczos),
}
