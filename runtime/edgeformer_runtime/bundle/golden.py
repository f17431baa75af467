"""golden.json and golden.bin: inputs, and what each variant answered to them when it was verified.

The index holds rows, texts that some of them were made of, and by variant the outputs and the predictions; arrays lie
in golden.bin as little-endian bytes. FORMAT.md describes both. They are optional, and listed with their hashes in the
manifest like any other file. Equal values give equal bytes.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..errors import RuntimeBundleError
from ..files.json_fields import Fields, below, list_of, name, not_negative, number, opaque, optional, string, wrong
from ..files.strict_json import read_json
from .bundle import Bundle
from .manifest import MAIN, Manifest, TensorSpec

GOLDEN_NAME = "golden.json"
DATA_NAME = "golden.bin"
VERSION = 2
MAX_BYTES = 8 << 20  # of each of the two
MAX_ROWS = 64
_DTYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64")
_ALIGNED = 8  # bytes: where an array begins
_MAX_DIMENSIONS = 8
_SHARED_BYTES = 16 << 10

Row = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class GoldenText:
    """What a row was made of, so that a reader can check its own preprocessing."""

    text: str
    second: Optional[str] = None
    prompt: Optional[str] = None


@dataclass(frozen=True)
class GoldenVariant:
    """A variant's outputs, one entry a row, and the similarity that another engine has to reach on each of them.

    ``predictions``: what ``outputs`` mean, by the task, for each row that has a text; None for others.
    """

    outputs: Tuple[Row, ...]
    similarity_min: float
    executed_by: str
    predictions: Tuple[Optional[Mapping[str, Any]], ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.similarity_min < 1:
            raise _refused(f"similarity_min {self.similarity_min}: expected 0 to 1")
        if not self.predictions:
            object.__setattr__(self, "predictions", (None,) * len(self.outputs))


@dataclass(frozen=True)
class Golden:
    """The whole of golden.json and golden.bin; ``texts`` has one entry a row."""

    rows: Tuple[Row, ...]
    variants: Mapping[str, GoldenVariant]
    texts: Tuple[Optional[GoldenText], ...] = ()

    def __post_init__(self) -> None:
        if not self.texts:
            object.__setattr__(self, "texts", (None,) * len(self.rows))

    def to_files(self) -> Tuple[bytes, bytes]:
        """The contents of golden.json and golden.bin; equal values give equal bytes."""
        data = bytearray()
        large: Dict[bytes, int] = {}
        value = {
            "version": VERSION,
            "rows": [
                {"inputs": _stored(row, data, large), "text": None if text is None else vars(text)}
                for row, text in zip(self.rows, self.texts)
            ],
            "variants": {
                key: {
                    "executed_by": item.executed_by,
                    "similarity_min": item.similarity_min,
                    "outputs": [_stored(row, data, large) for row in item.outputs],
                    "predictions": list(item.predictions),
                }
                for key, item in sorted(self.variants.items())
            },
        }
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        return text.encode("utf-8"), bytes(data)


def read_golden(bundle: Bundle) -> Optional[Golden]:
    """The golden rows of an open bundle; None for a bundle without them. Raises RuntimeBundleError."""
    if all(entry.path != GOLDEN_NAME for entry in bundle.manifest.files):
        return None
    if all(entry.path != DATA_NAME for entry in bundle.manifest.files):
        raise _refused(f"has no {DATA_NAME} beside it")
    return parse_golden(bundle.read(GOLDEN_NAME), bundle.read(DATA_NAME), bundle.manifest)


def parse_golden(content: bytes, data: bytes, manifest: Manifest) -> Golden:
    """Golden rows that fit the inputs, outputs and variants of ``manifest``; raises RuntimeBundleError otherwise."""
    try:
        return _parsed(content, data, manifest)
    except RuntimeBundleError as error:  # of JSON, of a field: the manifest is sound
        raise _refused(str(error)) from error


def _parsed(content: bytes, data: bytes, manifest: Manifest) -> Golden:
    if len(data) > MAX_BYTES:
        raise _refused(f"{DATA_NAME} has {len(data)} bytes: expected at most {MAX_BYTES}")
    where = f"{GOLDEN_NAME}: "
    fields = Fields(read_json(content, GOLDEN_NAME, MAX_BYTES), where)
    version = fields.take("version", not_negative)
    if version != VERSION:
        raise _refused(f"version {version}, this runtime reads {VERSION}: update edgeformer-runtime")
    listed = fields.take("rows", list_of(opaque))
    if not 1 <= len(listed) <= MAX_ROWS:
        raise _refused(f"{len(listed)} rows: expected 1 to {MAX_ROWS}")
    rows: List[Row] = []
    texts: List[Optional[GoldenText]] = []
    for index, item in enumerate(listed):
        row = Fields(item, f"{where}rows[{index}]")
        rows.append(_row(row.take("inputs", opaque), manifest.inputs, f"{where}rows[{index}].inputs", data))
        texts.append(row.take("text", optional(_text), None))
        row.finish()
    known = {entry.name: entry for entry in manifest.variants}
    skipped = {item.name for item in manifest.skipped_parts("variant")}
    variants: Dict[str, GoldenVariant] = {}
    for key, item in fields.take("variants", opaque).items():
        if key in skipped:
            continue
        if key not in known:
            raise _refused(f"variant {key[:80]!r} is not in the manifest")
        graph = known[key].graphs.get(MAIN)
        outputs = manifest.outputs if graph is None or graph.outputs is None else graph.outputs
        variants[key] = _variant(item, outputs, len(rows), f"{where}variants.{key}", data)
    fields.finish()
    return Golden(tuple(rows), variants, tuple(texts))


def _variant(value: Any, outputs: Sequence[TensorSpec], rows: int, where: str, data: bytes) -> GoldenVariant:
    fields = Fields(value, where)
    listed = fields.take("outputs", list_of(opaque))
    predictions = fields.take("predictions", list_of(optional(opaque)), (None,) * rows)
    if len(listed) != rows or len(predictions) != rows:
        raise _refused(
            f"{where}: outputs and predictions of {len(listed)} and {len(predictions)} rows, expected {rows}"
        )
    variant = GoldenVariant(
        outputs=tuple(_row(item, outputs, f"{where}.outputs[{index}]", data) for index, item in enumerate(listed)),
        similarity_min=fields.take("similarity_min", number),
        executed_by=fields.take("executed_by", string)[:500],
        predictions=predictions,
    )
    fields.finish()
    return variant


def _text(value: Any, where: str) -> GoldenText:
    fields = Fields(value, where)
    text = GoldenText(
        text=fields.take("text", string),
        second=fields.take("second", optional(string), None),
        prompt=fields.take("prompt", optional(string), None),
    )
    fields.finish()
    return text


def _row(value: Any, specs: Sequence[TensorSpec], where: str, data: bytes) -> Row:
    fields = Fields(value, where)
    row = {spec.name: _array(fields.take(spec.name, opaque), below(where, spec.name), data) for spec in specs}
    fields.finish()
    return row


def _array(value: Any, where: str, data: bytes) -> np.ndarray:
    fields = Fields(value, where)
    called = fields.take("dtype", name)
    if called not in _DTYPES:
        wrong(f"{where}.dtype", f"one of {', '.join(_DTYPES)}", called)
    dtype = np.dtype(called).newbyteorder("<")
    shape = fields.take("shape", list_of(not_negative))
    offset = fields.take("offset", not_negative)
    fields.finish()
    if len(shape) > _MAX_DIMENSIONS or not all(0 < size <= MAX_BYTES for size in shape):
        wrong(f"{where}.shape", "up to 8 sizes of at least 1", list(shape))
    count = math.prod(shape)
    if offset + count * dtype.itemsize > len(data):
        raise _refused(f"{where}: bytes {offset} to {offset + count * dtype.itemsize}: {DATA_NAME} has {len(data)}")
    array = np.frombuffer(data, dtype, count, offset).reshape(shape).astype(dtype.newbyteorder("="))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _refused(f"{where}: holds numbers that aren't finite")
    return array


def _stored(row: Row, data: bytearray, large: Dict[bytes, int]) -> Dict[str, Any]:
    """Append the arrays of ``row`` to ``data``; where each lies. A picture that rows share is there once."""
    stored = {}
    for key, array in sorted(row.items()):
        content = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        offset = large.setdefault(content, len(data)) if len(content) >= _SHARED_BYTES else len(data)
        stored[key] = {"dtype": array.dtype.name, "shape": list(array.shape), "offset": offset}
        if offset == len(data):
            data += content
            data += bytes(-len(data) % _ALIGNED)
    return stored


def _refused(problem: str) -> RuntimeBundleError:
    text = problem if problem.startswith(GOLDEN_NAME) else f"{GOLDEN_NAME}: {problem}"
    return RuntimeBundleError(text, code="golden")
