"""IntegerWeight: THE integers and scales that a quantizer chose; every exporter carries exactly these.

Legend: R rows (output channels, or vocabulary entries), C columns (input channels), G groups a row
(1 per channel or per tensor, C / block_size per block).

Uniform affine quantization (Jacob et al. 2018, eq. 1): ``w = scale * (q - zero_point)``.

Scales per block have two levels, ``scale[r, g] = channel_scale[r] * block_multiplier[r, g]`` with an integer
multiplier, so that ``(q - zero_point) * block_multiplier`` is an exact int8 weight with one scale a channel: an
engine without block kernels then computes the same numbers with its int8 kernel (compare the two-level scales of
VS-Quant, Dai et al. 2021, section 4.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeformer_runtime.errors import InputError

Granularity = Literal["tensor", "channel", "block"]
BLOCK_SIZES = (32, 64, 128)
_PATTERN = re.compile(r"int(?P<bits>4|8)(?P<asym>-asym)?(?:-(?P<tensor>tensor)|-block(?P<block>\d+))?")


@dataclass(frozen=True)
class WeightFormat:
    """How a weight is stored: bits, symmetry, and how many values share a scale.

    Written ``int8``, ``int4``, ``int4-block32``, ``int8-asym``, ``int4-asym-block64``, ``int8-tensor``.
    """

    bits: Literal[4, 8]
    symmetric: bool = True
    granularity: Granularity = "channel"
    block_size: int | None = None

    def __post_init__(self) -> None:
        if self.bits not in (4, 8):
            raise InputError(f"weight format: bits = {self.bits}: expected 4 or 8")
        if (self.granularity == "block") != (self.block_size is not None):
            raise InputError(f"weight format: block_size {self.block_size} with granularity {self.granularity!r}")
        if self.block_size is not None and self.block_size not in BLOCK_SIZES:
            raise InputError(f"weight format: block_size {self.block_size}: expected one of {BLOCK_SIZES}")

    @classmethod
    def parse(cls, text: str) -> WeightFormat:
        """The format written ``text``; raises InputError with examples when it isn't one."""
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise InputError(
                f"weight format {text!r} is unknown: expected e.g. int8, int4, int4-block32, int8-asym, int8-tensor"
            )
        granularity: Granularity = "tensor" if match["tensor"] else "block" if match["block"] else "channel"
        return cls(
            bits=8 if match["bits"] == "8" else 4,
            symmetric=match["asym"] is None,
            granularity=granularity,
            block_size=int(match["block"]) if match["block"] else None,
        )

    def __str__(self) -> str:
        tail = {"tensor": "-tensor", "channel": "", "block": f"-block{self.block_size}"}[self.granularity]
        return f"int{self.bits}{'' if self.symmetric else '-asym'}{tail}"

    @property
    def integer_range(self) -> tuple[int, int]:
        """Smallest and largest integer: symmetric formats leave out -2^(bits-1) so that the range is symmetric."""
        top = 2 ** (self.bits - 1) - 1
        return (-top, top) if self.symmetric else (-top - 1, top)

    @property
    def max_multiplier(self) -> int:
        """Largest block multiplier for which (q - zero_point) * multiplier still fits int8."""
        if self.bits == 8:
            return 1
        low, high = self.integer_range
        return int(127 // (high if self.symmetric else high - low))


@dataclass(frozen=True, eq=False)
class IntegerWeight:
    """A quantized matrix. Arrays are read-only.

    Args:
        format: how it is stored.
        integers: int8 [R, C], within ``format.integer_range``.
        channel_scale: float32 [R, 1], or [1, 1] per tensor; positive and representable in float16.
        block_multiplier: int8 [R, G], 1 … ``format.max_multiplier``; None unless per block. For 8-bit blocks, whose
            products would not fit int8, None as well: they have ``block_scale`` instead.
        zero_point: int8 [R, G], within ``format.integer_range``; None when symmetric.
        block_scale: float32 [R, G], only for 8-bit formats per block; fp16-representable.

    Raises:
        InputError: an array doesn't fit the format.
    """

    format: WeightFormat
    integers: NDArray[np.int8]
    channel_scale: NDArray[np.float32]
    block_multiplier: NDArray[np.int8] | None = None
    zero_point: NDArray[np.int8] | None = None
    block_scale: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        rows = self.integers.shape[0]
        groups = self.groups
        self._expect(self.integers.dtype == np.int8, f"integers are {self.integers.dtype}, not int8")
        low, high = self.format.integer_range
        self._expect(
            bool(self.integers.min(initial=0) >= low and self.integers.max(initial=0) <= high),
            f"integers leave {low}…{high}",
        )
        scale_rows = 1 if self.format.granularity == "tensor" else rows
        self._expect(self.channel_scale.shape == (scale_rows, 1), f"channel_scale has shape {self.channel_scale.shape}")
        scale = self.scale
        self._expect(bool(np.isfinite(scale).all() and (scale > 0).all()), "scales must be finite and positive")
        # below float16's largest value; the equality is exact because quantizers round scales to float16
        self._expect(
            bool((scale.astype(np.float16).astype(np.float32) == scale).all()),
            "scales must be fp16-representable",
        )
        wants_multiplier = self.format.granularity == "block" and self.format.bits == 4
        wants_block_scale = self.format.granularity == "block" and self.format.bits == 8
        self._expect((self.block_multiplier is not None) == wants_multiplier, "block_multiplier doesn't fit")
        self._expect((self.block_scale is not None) == wants_block_scale, "block_scale doesn't fit")
        self._expect((self.zero_point is not None) != self.format.symmetric, "zero_point doesn't fit the symmetry")
        if self.block_multiplier is not None:
            self._expect(self.block_multiplier.shape == (rows, groups), "block_multiplier has a wrong shape")
            top = self.format.max_multiplier
            inside = self.block_multiplier.min() >= 1 and self.block_multiplier.max() <= top
            self._expect(bool(inside), f"block_multiplier leaves 1…{top}")
        if self.zero_point is not None:
            self._expect(self.zero_point.shape in ((rows, groups), (scale_rows, 1)), "zero_point has a wrong shape")
        for array in (
            self.integers, self.channel_scale, self.block_multiplier, self.zero_point, self.block_scale
        ):  # fmt: skip
            if array is not None:
                array.setflags(write=False)

    def _expect(self, holds: bool, problem: str) -> None:
        if not holds:
            raise InputError(f"integer weight {self.format} {self.integers.shape}: {problem}")

    @property
    def groups(self) -> int:
        """Scales a row: 1, or the number of blocks."""
        if self.format.block_size is None:
            return 1
        columns = self.integers.shape[1]
        if columns % self.format.block_size:
            raise InputError(
                f"{self.format}: {columns} input channels can't be cut into blocks of {self.format.block_size}"
            )
        return int(columns // self.format.block_size)

    @property
    def scale(self) -> NDArray[np.float32]:
        """float32 [R, G] ([1, 1] per tensor)."""
        if self.block_scale is not None:
            return self.block_scale
        if self.block_multiplier is None:
            return self.channel_scale
        return self.channel_scale * self.block_multiplier.astype(np.float32)

    def dequantize(self) -> NDArray[np.float32]:
        """float32 [R, C]: scale * (q - zero_point)."""
        rows, columns = self.integers.shape
        grouped = self.integers.reshape(rows, self.groups, -1).astype(np.float32)
        if self.zero_point is not None:
            grouped = grouped - self.zero_point.astype(np.float32)[..., None]
        return (grouped * self.scale[..., None]).reshape(rows, columns).astype(np.float32)

    def same_as(self, other: IntegerWeight) -> bool:
        """True when format, integers, scales and zero points are equal bit for bit."""
        if self.format != other.format or not np.array_equal(self.integers, other.integers):
            return False
        if not np.array_equal(self.scale, other.scale):
            return False
        if self.zero_point is None or other.zero_point is None:
            return self.zero_point is None and other.zero_point is None
        return bool(np.array_equal(self.zero_point, other.zero_point))

    @property
    def size_bytes(self) -> int:
        """Bytes of integers, scales and zero points as the most compact format stores them."""
        extra = self.scale.size * 2 + (0 if self.zero_point is None else self.zero_point.size)
        return int(self.integers.size * self.format.bits // 8 + extra)
