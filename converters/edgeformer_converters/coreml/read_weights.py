"""Reading integers and scales back out of a saved package, by the names that the file holds.

Legend: R rows, C columns, G groups a row.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeformer_runtime.errors import InputError

from ..ops import IntegerWeight, WeightFormat
from .lower_weights import weight_name
from .program import MilOperation, MilProgram

CONSTEXPR_TYPES = ("constexpr_blockwise_shift_scale", "constexpr_affine_dequantize")
SHARED_WEIGHTS = "edgeformer.shared_weights"  # metadata: {layer path: name of the equal weight that was kept}
_CAST = "_cast_fp16"  # what coremltools appends when it makes a result float16
_Value = TypeVar("_Value", bound=np.generic)
_FLOAT16_STEP = 2.0**-24  # every float16 is a multiple of its smallest subnormal


@dataclass(frozen=True)
class StoredWeight:
    """One constexpr operation: ``scale * (data - offset)`` with rows and groups as in IntegerWeight."""

    bits: int
    data: NDArray[np.int8]  # [R, C]
    scale: NDArray[np.float32]  # [R or 1, G]
    offset: NDArray[np.int8] | None  # like scale; None means zeros


def read_integer_weights(program: MilProgram, layers: Mapping[str, IntegerWeight]) -> dict[str, IntegerWeight]:
    """The weights of those ``layers`` that ``program`` holds in the form that their formats say."""
    stored = stored_weights(program)
    shared: dict[str, str] = json.loads(program.metadata.get(SHARED_WEIGHTS, "{}"))
    found = {}
    for path, expected in layers.items():
        name = shared.get(path, weight_name(path))
        weight = _as_integer_weight(stored[name], expected) if name in stored else None
        if weight is not None:
            found[path] = weight
    return found


def stored_weights(program: MilProgram) -> dict[str, StoredWeight]:
    """Every quantized matrix of ``program`` by the name that its layer gave it."""
    weights = {}
    for operation in program.operations:
        if operation.type in CONSTEXPR_TYPES:
            weight = _stored_weight(program, operation)
            if weight is not None:
                weights[operation.outputs[0].removesuffix(_CAST)] = weight
    return weights


def constexpr_names(specification: Any) -> set[str]:
    """The names of the quantized matrices in a converted model's specification."""
    main = specification.mlProgram.functions["main"]
    operations = main.block_specializations[main.opset].operations
    return {each.outputs[0].name.removesuffix(_CAST) for each in operations if each.type in CONSTEXPR_TYPES}


def shared_weights_metadata(layers: Mapping[str, IntegerWeight], stored: Collection[str]) -> dict[str, str]:
    """Metadata that says under which name a layer's weight was kept, for those that lost their own.

    Of several equal weights coremltools keeps one, with the name of one layer; the file then says which.
    """
    kept = {path: weight for path, weight in layers.items() if weight_name(path) in stored}
    shared = {
        path: weight_name(twin)
        for path, weight in layers.items()
        if path not in kept
        for twin in [next((each for each, other in kept.items() if weight.same_as(other)), None)]
        if twin is not None
    }
    return {SHARED_WEIGHTS: json.dumps(shared, sort_keys=True)} if shared else {}


def _stored_weight(program: MilProgram, operation: MilOperation) -> StoredWeight | None:
    blockwise = operation.type == "constexpr_blockwise_shift_scale"
    arguments = {key: name for key, name in operation.arguments.items() if isinstance(name, str)}
    data_name = arguments["data" if blockwise else "quantized_data"]
    data = np.asarray(program.constants[data_name])
    bits = {"int4": 4, "int8": 8}.get(program.constant_types[data_name])
    if bits is None or data.ndim != 2:
        return None
    offset_name = arguments.get("offset" if blockwise else "zero_point")
    offset = None if offset_name is None else np.asarray(program.constants[offset_name]).astype(np.int8)
    scale = np.asarray(program.constants[arguments["scale"]]).astype(np.float32)
    if not blockwise:  # rank 0 or 1, one a row
        scale = scale.reshape(-1, 1)
        offset = None if offset is None else offset.reshape(-1, 1)
    return StoredWeight(bits, data.astype(np.int8), scale, offset)


def _as_integer_weight(stored: StoredWeight, expected: IntegerWeight) -> IntegerWeight | None:
    """``stored`` as an IntegerWeight of the expected format, or None where it isn't of that form."""
    form = expected.format
    if stored.bits != form.bits or stored.data.shape != expected.integers.shape:
        return None
    zero_point: NDArray[np.int8] | None = None
    if expected.zero_point is None:
        if stored.offset is not None and stored.offset.any():
            return None
    else:
        offset = np.zeros(stored.scale.shape, np.int8) if stored.offset is None else stored.offset
        zero_point = _reshaped(offset, expected.zero_point.shape)
        if zero_point is None:
            return None
    scale = _reshaped(stored.scale, expected.scale.shape)
    if scale is None:
        return None
    try:
        return _assemble(form, stored.data, scale, zero_point)
    except InputError:  # values outside of what the format allows: not this format
        return None


def _assemble(
    form: WeightFormat,
    integers: NDArray[np.int8],
    scale: NDArray[np.float32],
    zero_point: NDArray[np.int8] | None,
) -> IntegerWeight:
    """Raises InputError where the arrays don't fit ``form``."""
    if form.granularity != "block":
        return IntegerWeight(form, integers, channel_scale=scale, zero_point=zero_point)
    if form.bits == 8:
        largest = scale.max(axis=1, keepdims=True)
        return IntegerWeight(form, integers, channel_scale=largest, zero_point=zero_point, block_scale=scale)
    channel_scale, multiplier = two_levels(scale)
    return IntegerWeight(form, integers, channel_scale, block_multiplier=multiplier, zero_point=zero_point)


def two_levels(scale: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Split float16-representable block scales [R, G] into channel scales [R, 1] and multipliers [R, G].

    The file holds products only. Any split gives the same products; this one takes each row's greatest common
    divisor, so its multipliers are never larger than those that the quantizer chose. Raises InputError when a
    multiplier doesn't fit int8.
    """
    steps = np.rint(scale.astype(np.float64) / _FLOAT16_STEP).astype(np.int64)
    divisor = np.gcd.reduce(steps, axis=1, keepdims=True)
    multiplier = steps // np.maximum(divisor, 1)
    if multiplier.max(initial=1) > 127:
        raise InputError("block scales are not small multiples of a channel scale")
    return (divisor * _FLOAT16_STEP).astype(np.float32), multiplier.astype(np.int8)


def _reshaped(array: NDArray[_Value], shape: tuple[int, ...]) -> NDArray[_Value] | None:
    """``array`` [R or 1, G or 1] in ``shape``; an axis is dropped to 1 only when all along it is equal."""
    if array.ndim != 2:
        return None
    for axis in (0, 1):
        if shape[axis] == 1 and array.shape[axis] != 1:
            first = array.take([0], axis=axis)
            if not (array == first).all():
                return None
            array = first
    return array.copy() if array.shape == shape else None
