"""How a picture becomes an input tensor: the numbers that a manifest holds, and the sizes that follow from them.

FORMAT.md says what they mean; ``image.py`` does it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, Optional, Tuple

from ..errors import InputError
from ..files.typed_json import decode_part

COLORS = {"RGB": 3, "L": 1}  # and their channels
ALPHAS = ("white", "drop")
MODES = ("exact", "shortest")
FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
MAX_SIDE = 4096  # pixels, of what the model takes
MAX_NUMBER = 1e6  # of mean, std, rescale; the least of the latter two is 1 by this: float32 stays far from its ends
MAX_RESIZED_SIDE = 1 << 24  # pixels, of a picture whose shortest side was resized, before it is cropped


@dataclass(frozen=True)
class ImageResize:
    """``size``: (height, width) in mode "exact"; (shortest side,) in mode "shortest", which keeps the proportions."""

    size: Tuple[int, ...]
    mode: str
    filter: str
    antialias: bool = True  # the filter is as wide as what it shrinks; "nearest" has no width
    cubic_a: float = -0.5  # the parameter of filter "bicubic"
    rounding: str = "uint8"  # after each of the two passes

    def __post_init__(self) -> None:
        _check_in(self.mode, MODES, "resize.mode")
        _check_in(self.filter, FILTERS, "resize.filter")
        _check_in(self.rounding, ("uint8",), "resize.rounding")
        _check_sides(self.size, "resize.size", 2 if self.mode == "exact" else 1)
        _check(self.antialias, "resize.antialias", "true: no model read so far is fed without", self.antialias)
        _check(-1 <= self.cubic_a <= 0, "resize.cubic_a", "a number from -1 to 0", self.cubic_a)


@dataclass(frozen=True)
class Placement:
    """Which part of the resized picture is taken, and where it lies in the tensor. Pairs are (height, width)."""

    resized: Tuple[int, int]
    part_start: Tuple[int, int]
    part_size: Tuple[int, int]
    offset: Tuple[int, int]  # of the part in the tensor; what it doesn't cover is black


@dataclass(frozen=True)
class ImagePreprocess:
    """Decode, ``color`` and ``alpha``, ``resize``, ``crop`` (height, width) around the centre; then a byte of channel c
    becomes (byte · rescale - mean[c]) / std[c].

    Raises InputError for numbers that no picture could be made with.
    """

    mean: Tuple[float, ...]  # one a channel
    std: Tuple[float, ...]
    resize: Optional[ImageResize] = None
    crop: Optional[Tuple[int, int]] = None
    color: str = "RGB"
    alpha: str = "white"  # "white": over a white ground; "drop": as if everything were opaque
    rescale: float = 1 / 255
    layout: str = "NCHW"
    input: str = "pixel_values"  # the input of the graph
    kind: str = "image"

    def __post_init__(self) -> None:
        _check_in(self.kind, ("image",), "kind")
        _check_in(self.color, tuple(COLORS), "color")
        _check_in(self.alpha, ALPHAS, "alpha")
        _check_in(self.layout, ("NCHW",), "layout")
        _check(bool(self.input), "input", "the name of an input", self.input)
        for what, values in (("mean", self.mean), ("std", self.std)):
            _check(len(values) == COLORS[self.color], what, f"{COLORS[self.color]} of color {self.color}", len(values))
        for what, values in (("mean", self.mean), ("std", self.std), ("rescale", (self.rescale,))):
            _check(all(abs(value) <= MAX_NUMBER for value in values), what, f"numbers up to {MAX_NUMBER:g}", values)
            small = what != "mean" and min(values) < 1 / MAX_NUMBER
            _check(not small, what, f"numbers from {1 / MAX_NUMBER:g} up", values)
        if self.crop is not None:
            _check_sides(self.crop, "crop", 2)
        elif self.resize is None or self.resize.mode != "exact":
            raise InputError(
                "image preprocessing: expected a crop, or a resize of mode 'exact': without either, pictures of "
                "different shapes give tensors of different shapes, and a graph takes one"
            )

    @property
    def files(self) -> Tuple[str, ...]:
        """Paths of the bundle that it reads: none."""
        return ()

    def in_words(self) -> str:
        """What is done to a picture, for a terminal."""
        steps = []
        if self.resize is not None:
            sides = " x ".join(map(str, self.resize.size))
            shortest = "shortest side " if self.resize.mode == "shortest" else ""
            steps.append(f"resized to {shortest}{sides} ({self.resize.filter})")
        if self.crop is not None:
            steps.append(f"the middle {self.crop[0]} x {self.crop[1]} taken")
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"pictures as {self.color}, {', '.join(steps)}, mean {mean}, standard deviation {std}"

    @property
    def shape(self) -> Tuple[int, int, int]:
        """(channels, height, width) of one picture's tensor."""
        height, width = self.crop or self.resize.size  # type: ignore[union-attr]  # __post_init__ wants one of them
        return COLORS[self.color], height, width

    def place(self, height: int, width: int) -> Placement:
        """Where a picture of ``height`` x ``width`` pixels goes. Raises InputError for one that is too elongated."""
        resized = (height, width) if self.resize is None else _resized(self.resize, height, width)
        target = self.shape[1:]
        spare = [side - wanted for side, wanted in zip(resized, target)]  # negative: black is added
        return Placement(
            resized=resized,
            part_start=(max(spare[0] // 2, 0), max(spare[1] // 2, 0)),
            part_size=(min(resized[0], target[0]), min(resized[1], target[1])),
            offset=(max((1 - spare[0]) // 2, 0), max((1 - spare[1]) // 2, 0)),
        )

    def to_dict(self) -> Dict[str, Any]:
        """The JSON data of the manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Any, where: str = "manifest.json: preprocess") -> ImagePreprocess:
        """From JSON data; raises RuntimeBundleError naming the place under ``where``, UnknownPartError for a key that
        is none of its own.
        """
        return decode_part(cls, value, where)


image_to_dict = ImagePreprocess.to_dict
image_from_dict = ImagePreprocess.from_dict


def _resized(resize: ImageResize, height: int, width: int) -> Tuple[int, int]:
    if resize.mode == "exact":
        return resize.size[0], resize.size[1]
    (short,) = resize.size
    long = short * max(height, width) // min(height, width)
    if long > MAX_RESIZED_SIDE:
        raise InputError(
            f"of {width} x {height} pixels, is too elongated: with a shortest side of {short} the other would have "
            f"{long}, expected at most {MAX_RESIZED_SIDE}"
        )
    return (long, short) if width <= height else (short, long)


def _check_sides(sides: Tuple[int, ...], what: str, count: int) -> None:
    good = len(sides) == count and all(1 <= side <= MAX_SIDE for side in sides)
    _check(good, what, f"{count} numbers from 1 to {MAX_SIDE}", sides)


def _check_in(value: str, choices: Tuple[str, ...], what: str) -> None:
    _check(value in choices, what, f"one of {', '.join(choices)}", value)


def _check(good: bool, what: str, expected: str, got: object) -> None:
    if not good:
        raise InputError(f"image preprocessing: {what}: expected {expected}, got {str(got)[:80]}")
