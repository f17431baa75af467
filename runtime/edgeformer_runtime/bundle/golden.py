"""golden.json: inputs, and what each variant answered to them when it was verified, as part of a bundle.

    {"version": 1,
     "rows": [{"input_ids": ARRAY, ...}, ...],
     "variants": {"onnx": {"executed_by": "...", "similarity_min": 0.99, "outputs": [{"logits": ARRAY}, ...]}, ...}}

ARRAY is {"dtype": "int64", "shape": [1, 12], "data": base64 of the little-endian bytes}. The file is optional, and
listed with its hash in the manifest like any other. Equal values give equal bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..errors import RuntimeBundleError
from ..files.strict_json import read_json
from .bundle import Bundle
from .manifest import Manifest, TensorSpec

GOLDEN_NAME = "golden.json"
VERSION = 1
MAX_BYTES = 8 << 20
MAX_ROWS = 64
_DTYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64")

Row = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class GoldenVariant:
    """A variant's outputs, one entry a row, and the similarity that another engine has to reach on each of them."""

    outputs: Tuple[Row, ...]
    similarity_min: float
    executed_by: str

    def __post_init__(self) -> None:
        if not 0 < self.similarity_min < 1:
            raise RuntimeBundleError(f"{GOLDEN_NAME}: similarity_min {self.similarity_min}: expected 0 to 1")


@dataclass(frozen=True)
class Golden:
    """The whole of golden.json."""

    rows: Tuple[Row, ...]
    variants: Mapping[str, GoldenVariant]

    def to_bytes(self) -> bytes:
        """The file's content; equal values give equal bytes."""
        value = {
            "version": VERSION,
            "rows": [_encoded_row(row) for row in self.rows],
            "variants": {
                name: {
                    "executed_by": item.executed_by,
                    "similarity_min": item.similarity_min,
                    "outputs": [_encoded_row(row) for row in item.outputs],
                }
                for name, item in self.variants.items()
            },
        }
        return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("utf-8")


def read_golden(bundle: Bundle) -> Optional[Golden]:
    """The golden rows of an open bundle; None for a bundle without them. Raises RuntimeBundleError."""
    if all(entry.path != GOLDEN_NAME for entry in bundle.manifest.files):
        return None
    return parse_golden(bundle.read(GOLDEN_NAME), bundle.manifest)


def parse_golden(content: bytes, manifest: Manifest) -> Golden:
    """Golden rows that fit the inputs, outputs and variants of ``manifest``; raises RuntimeBundleError otherwise."""
    value = read_json(content, GOLDEN_NAME, MAX_BYTES)
    fields = _object(value, "top level", ("version", "rows", "variants"))
    if fields["version"] != VERSION:
        raise RuntimeBundleError(
            f"{GOLDEN_NAME}: version {fields['version']!r}, this runtime reads {VERSION}: update edgeformer-runtime"
        )
    listed = _list(fields["rows"], "rows")
    if not 1 <= len(listed) <= MAX_ROWS:
        raise RuntimeBundleError(f"{GOLDEN_NAME}: {len(listed)} rows: expected 1 to {MAX_ROWS}")
    rows = tuple(_row(item, manifest.inputs, f"rows[{index}]") for index, item in enumerate(listed))
    known = {entry.name for entry in manifest.variants}
    variants: Dict[str, GoldenVariant] = {}
    for name, item in _object(fields["variants"], "variants", None).items():
        if name not in known:
            raise RuntimeBundleError(f"{GOLDEN_NAME}: variant {name[:80]!r} is not in the manifest")
        variants[name] = _variant(item, manifest.outputs, len(rows), f"variants.{name}")
    return Golden(rows, variants)


def _variant(value: Any, outputs: Sequence[TensorSpec], rows: int, where: str) -> GoldenVariant:
    fields = _object(value, where, ("executed_by", "similarity_min", "outputs"))
    listed = _list(fields["outputs"], f"{where}.outputs")
    if len(listed) != rows:
        raise RuntimeBundleError(f"{GOLDEN_NAME}: {where}: outputs of {len(listed)} rows: expected {rows}")
    least = fields["similarity_min"]
    if isinstance(least, bool) or not isinstance(least, (int, float)):
        raise RuntimeBundleError(f"{GOLDEN_NAME}: {where}.similarity_min: expected a number")
    return GoldenVariant(
        outputs=tuple(_row(item, outputs, f"{where}.outputs[{index}]") for index, item in enumerate(listed)),
        similarity_min=float(least),
        executed_by=str(fields["executed_by"])[:500],
    )


def _row(value: Any, specs: Sequence[TensorSpec], where: str) -> Row:
    fields = _object(value, where, tuple(spec.name for spec in specs))
    return {spec.name: _array(fields[spec.name], f"{where}.{spec.name}") for spec in specs}


def _array(value: Any, where: str) -> np.ndarray:
    fields = _object(value, where, ("dtype", "shape", "data"))
    if fields["dtype"] not in _DTYPES:
        raise RuntimeBundleError(f"{GOLDEN_NAME}: {where}.dtype: expected one of {', '.join(_DTYPES)}")
    dtype = np.dtype(fields["dtype"]).newbyteorder("<")
    shape = _list(fields["shape"], f"{where}.shape")
    if len(shape) > 8 or not all(isinstance(n, int) and not isinstance(n, bool) and 0 < n <= MAX_BYTES for n in shape):
        raise RuntimeBundleError(f"{GOLDEN_NAME}: {where}.shape: expected up to 8 sizes of at least 1")
    try:
        data = base64.b64decode(fields["data"], validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise RuntimeBundleError(f"{GOLDEN_NAME}: {where}.data: expected base64: {error}") from error
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise RuntimeBundleError(f"{GOLDEN_NAME}: {where}.data: {len(data)} bytes don't make {shape} of {dtype.name}")
    array = np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RuntimeBundleError(f"{GOLDEN_NAME}: {where}: holds numbers that aren't finite")
    return array


def _encoded_row(row: Row) -> Dict[str, Any]:
    encoded = {}
    for name, array in row.items():
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        data = base64.b64encode(little.tobytes()).decode("ascii")
        encoded[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}
    return encoded


def _object(value: Any, where: str, keys: Optional[Tuple[str, ...]]) -> Dict[str, Any]:
    if not isinstance(value, dict) or (keys is not None and set(value) != set(keys)):
        expected = "an object" if keys is None else f"an object of {', '.join(sorted(keys))}"
        raise RuntimeBundleError(f"{GOLDEN_NAME}: {where}: expected {expected}")
    return value


def _list(value: Any, where: str) -> List[Any]:
    if not isinstance(value, list):
        raise RuntimeBundleError(f"{GOLDEN_NAME}: {where}: expected a list")
    return value
