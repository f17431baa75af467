"""Reading integers and scales back out of an exported ONNX file: the proof that it carries what was chosen.

The initializers of a layer are called after its path. A linear's have its channels last (``integers`` [K, N]
or [G, B, N], ``packed_integers`` [G, B / 2, N]), an embedding's have its rows first (``rows`` [V, H] or [V,
G, B], ``packed_rows`` [V, G, B / 2]), so that one reshape brings each to the matrix [R, …] that
``IntegerWeight`` holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgeformer_runtime.errors import InputError

from ..ops import IntegerWeight
from .packing import unpack
from .pair_sums import from_uint8

INTEGER_PARTS = ("integers", "packed_integers", "rows", "packed_rows")
OTHER_PARTS = ("scale", "block_scale", "block_multiplier", "zero_point")


def read_weights(path: Path, layers: Mapping[str, IntegerWeight]) -> dict[str, IntegerWeight]:
    """Integer weights of the file at ``path`` by layer.

    ``layers`` says which names to look for, in which format and shape. A layer that isn't there, or is there
    in another form, is left out.
    """
    stored = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    found = {}
    for name, expected in layers.items():
        parts = {
            part: numpy_helper.to_array(stored[f"{name}.{part}"])
            for part in INTEGER_PARTS + OTHER_PARTS
            if f"{name}.{part}" in stored
        }
        try:
            weight = _weight(parts, expected)
        except (InputError, ValueError):  # an array doesn't have the form that the format asks for
            continue
        if weight is not None:
            found[name] = weight
    return found


def _weight(parts: Mapping[str, NDArray[Any]], expected: IntegerWeight) -> IntegerWeight | None:
    """The weight that the parts hold, or None when there isn't exactly one array of integers and its
    scale.
    """
    kinds = [part for part in INTEGER_PARTS if part in parts]
    if len(kinds) != 1 or not {"scale", "block_scale"} & parts.keys():
        return None
    kind, rows_first = kinds[0], kinds[0].endswith("rows")
    if kind == "integers" and parts[kind].dtype == np.uint8:
        parts = {**parts, kind: from_uint8(parts[kind])}
        if "zero_point" in parts:
            parts["zero_point"] = from_uint8(parts["zero_point"])
    integers = parts[kind]
    if kind.startswith("packed"):
        block = expected.integers.shape[1] // expected.groups
        integers = unpack(integers, axis=-1 if rows_first else 1, size=block)

    def matrix(part: str, dtype: type) -> NDArray[Any] | None:
        array = parts.get(part)
        return None if array is None else _as_matrix(array, rows_first).astype(dtype)

    block_scale, multiplier = matrix("block_scale", np.float32), matrix("block_multiplier", np.int8)
    scale = matrix("scale", np.float32)
    if scale is None and block_scale is not None and expected.format.bits == 4:
        scale, multiplier = _two_levels(block_scale, expected.format.max_multiplier)
        block_scale = None
    elif scale is None and block_scale is not None:
        scale = block_scale.max(axis=1, keepdims=True)  # only block scales mean something in this format
    if scale is None:
        return None
    return IntegerWeight(
        format=expected.format,
        integers=_as_matrix(integers, rows_first).astype(np.int8),  # from INT4 in TensorRT files
        channel_scale=scale,
        block_multiplier=multiplier,
        zero_point=matrix("zero_point", np.int8),
        block_scale=block_scale,
    )


def _as_matrix(array: NDArray[Any], rows_first: bool) -> NDArray[Any]:
    """[R, …] or […, R] to [R, columns]; a scalar to [1, 1]."""
    array = np.atleast_1d(array)
    if rows_first:
        return array.reshape(array.shape[0], -1)
    return np.ascontiguousarray(array.reshape(-1, array.shape[-1]).T)


def _two_levels(block_scale: NDArray[np.float32], most: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Channel scales [R, 1] and multipliers [R, G] whose products are exactly ``block_scale``.

    Formats with 4-bit blocks of their own (TensorRT) store the products. Raises ValueError where there is no
    such pair.
    """
    rows = block_scale.shape[0]
    channel = np.zeros((rows, 1), np.float32)
    multiplier = np.zeros(block_scale.shape, np.int8)
    largest = block_scale.max(axis=1, keepdims=True)
    for divisor in range(most, 0, -1):
        candidate = (largest / np.float32(divisor)).astype(np.float32)
        whole = np.rint(block_scale / candidate)
        exact = ((candidate * whole).astype(np.float32) == block_scale).all(axis=1) & (whole <= most).all(axis=1)
        channel[exact], multiplier[exact] = candidate[exact], whole[exact].astype(np.int8)
    if (channel == 0).any():
        raise ValueError("block scales are not whole multiples of one channel scale")
    return channel, multiplier
