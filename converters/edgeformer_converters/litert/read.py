"""Reads integers and scales back out of a TFLite file, by tensor name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ops import IntegerWeight, WeightFormat
from .flatbuffer import Model, Subgraph, Tensor, constant_bytes, load, schema, tensor_name, type_name

_BITS = {"INT8": 8, "INT4": 4}


def read_weights(path: Path, layers: Mapping[str, IntegerWeight]) -> dict[str, IntegerWeight]:
    """What the file at ``path`` holds for ``layers``; a layer that isn't there in its format is left out.

    Every signature must hold the same values for a layer, or it is left out.
    """
    model = load(path)
    found: dict[str, IntegerWeight] = {}
    differing: set[str] = set()
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            name = tensor_name(tensor)
            # an input or output may be called like a layer
            if name not in layers or type_name(tensor) not in _BITS:
                continue
            weight = _integer_weight(model, subgraph, tensor, layers[name])
            if weight is None or not found.setdefault(name, weight).same_as(weight):
                differing.add(name)
    return {name: weight for name, weight in found.items() if name not in differing}


def unpack(data: NDArray[np.uint8], bits: int, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """int8 of ``shape`` from the file's bytes: the inverse of ``lower_quantized.pack``."""
    if bits == 8:
        return data.view(np.int8).reshape(shape)
    # shifting the sign bit of each half to the byte's top and back extends it
    halves = np.stack([(data << 4).view(np.int8) >> 4, data.view(np.int8) >> 4], axis=1)
    return halves.reshape(-1)[: int(np.prod(shape))].reshape(shape)


def decompose_block_scale(
    scale: NDArray[np.float32], largest: int
) -> tuple[NDArray[np.float32], NDArray[np.int8]] | None:
    """Channel scale [R, 1] and multipliers [R, G] in 1…``largest`` whose product is exactly ``scale`` [R, G].

    The file holds products only. Any decomposition stands for the same weight; None when there is none.
    """
    smallest = scale.min(axis=1, keepdims=True)
    channel_scale = np.zeros_like(smallest)
    multiplier = np.zeros(scale.shape, np.int8)
    for divisor in range(1, largest + 1):
        candidate = smallest / np.float32(divisor)
        factors = np.rint(scale / candidate)
        exact = ((candidate * factors == scale) & (factors <= largest)).all(axis=1, keepdims=True)
        new = exact & (channel_scale == 0)
        channel_scale = np.where(new, candidate, channel_scale)
        multiplier = np.where(new, np.minimum(factors, largest).astype(np.int8), multiplier)
    if (channel_scale == 0).any():
        return None
    return channel_scale, multiplier


def _integer_weight(model: Model, subgraph: Subgraph, tensor: Tensor, wanted: IntegerWeight) -> IntegerWeight | None:
    """The weight in ``tensor``; None when it isn't of the wanted shape and format."""
    shape = tuple(int(size) for size in tensor.shape)
    if _BITS.get(type_name(tensor)) != wanted.format.bits or shape != wanted.integers.shape:
        return None
    parameters = tensor.quantization
    if parameters is None or not wanted.format.symmetric:
        return None
    integers = unpack(constant_bytes(model, tensor), wanted.format.bits, shape)
    if wanted.format.granularity == "block":
        return _block_weight(model, subgraph, parameters, integers, wanted.format)
    scale_rows = 1 if wanted.format.granularity == "tensor" else shape[0]
    if parameters.scale is None or len(parameters.scale) != scale_rows or np.any(parameters.zeroPoint):
        return None
    scale = np.asarray(parameters.scale, np.float32).reshape(scale_rows, 1)
    return IntegerWeight(wanted.format, integers.copy(), scale.copy())


def _block_weight(
    model: Model, subgraph: Subgraph, parameters: Any, integers: NDArray[np.int8], format: WeightFormat
) -> IntegerWeight | None:
    details = parameters.details
    blockwise = schema().QuantizationDetails.BlockwiseQuantization
    if parameters.detailsType != blockwise or details.blockSize != format.block_size:
        return None
    stored = constant_bytes(model, subgraph.tensors[details.scales]).view(np.float16)
    scale = stored.astype(np.float32).reshape(integers.shape[0], -1)
    levels = decompose_block_scale(scale, format.max_multiplier)
    if levels is None:
        return None
    channel_scale, multiplier = levels
    return IntegerWeight(format, integers.copy(), channel_scale, block_multiplier=multiplier)
