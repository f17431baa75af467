"""Feeding a loaded variant: from arrays of any batch and sequence to the shapes that its file has, and back.

Static variants (TFLite, Core ML) hold one shape a sequence length. A shorter input is padded at the end of
its "sequence" dimension to the nearest length that fits, and outputs are trimmed back; the attention mask,
padded with 0, keeps the padding out of the result.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from .engines.base import LoadedModel
from .errors import EngineError, InputError
from .manifest import TensorSpec, VariantEntry

BATCH = "batch"
SEQUENCE = "sequence"


class VariantRunner:
    """Runs one loaded variant on arrays of any batch and any sequence length that it can take.

    ``inputs`` and ``outputs`` are those of the manifest. The same object serves a session on a device and the
    comparison of a variant with its reference on the host.
    """

    def __init__(
        self,
        model: LoadedModel,
        variant: VariantEntry,
        inputs: Tuple[TensorSpec, ...],
        outputs: Tuple[TensorSpec, ...],
    ) -> None:
        self.model = model
        self.variant = variant
        self.inputs = inputs
        self.outputs = outputs

    @property
    def max_sequence_length(self) -> Optional[int]:
        """The longest "sequence" that the variant takes, in positions; None where it takes any."""
        return max(self.variant.sequence_lengths) if self.variant.sequence_lengths else None

    def run(self, feeds: Mapping[str, Any]) -> Dict[str, np.ndarray]:
        """{input name: array} to {output name: array}, with the shapes and dtypes of the manifest.

        Raises InputError for names, dtypes, shapes or lengths that the variant can't take, EngineError when
        the engine fails or returns something other than the manifest says.
        """
        arrays = self._checked_names(feeds)
        arrays = {spec.name: _checked_dtype(spec, arrays[spec.name]) for spec in self.inputs}
        dims = self._checked_dims(arrays)
        length = dims.get(SEQUENCE)
        padded_length = self._padded_length(length)
        if length is not None and padded_length is not None and padded_length > length:
            arrays = {spec.name: _pad(spec, arrays[spec.name], padded_length) for spec in self.inputs}
        parts = [self._run_rows(part, rows) for part, rows in self._split(arrays, dims.get(BATCH))]
        return {spec.name: self._joined(spec, [part[spec.name] for part in parts], dims) for spec in self.outputs}

    def close(self) -> None:
        """Release the model's memory; calling it twice is harmless."""
        self.model.close()

    # ---- checks of what comes in ----

    def _checked_names(self, feeds: Mapping[str, Any]) -> Dict[str, np.ndarray]:
        expected = [spec.name for spec in self.inputs]
        missing = [name for name in expected if name not in feeds]
        unknown = [str(name) for name in feeds if name not in expected]
        if missing or unknown:
            raise InputError(
                f"variant {self.variant.name!r} takes inputs {', '.join(expected)}; "
                + "; ".join(
                    text
                    for text in (
                        f"missing: {', '.join(missing)}" if missing else "",
                        f"unknown: {', '.join(unknown)}" if unknown else "",
                    )
                    if text
                )
            )
        return {name: _as_array(name, feeds[name]) for name in expected}

    def _checked_dims(self, arrays: Mapping[str, np.ndarray]) -> Dict[str, int]:
        """The size of each named dimension, the same in every input."""
        dims: Dict[str, int] = {}
        owners: Dict[str, str] = {}
        for spec in self.inputs:
            shape = arrays[spec.name].shape
            if len(shape) != len(spec.shape):
                raise InputError(
                    f"input {spec.name!r}: expected shape {_text(spec.shape)}, got {_text(shape)}: "
                    f"{len(spec.shape)} dimensions are wanted"
                )
            for axis, dim in enumerate(spec.shape):
                size = shape[axis]
                expected = dims.setdefault(dim, size) if isinstance(dim, str) else dim
                if isinstance(dim, str):
                    owners.setdefault(dim, spec.name)
                if size != expected:
                    why = f" ({dim!r} is {expected} in input {owners[dim]!r})" if isinstance(dim, str) else ""
                    raise InputError(
                        f"input {spec.name!r}: expected shape {_text(spec.shape)}, got {_text(shape)}{why}"
                    )
                if size == 0:
                    raise InputError(
                        f"input {spec.name!r}: shape {_text(shape)} is empty: expected at least one of {dim!r}"
                    )
        return dims

    def _padded_length(self, length: Optional[int]) -> Optional[int]:
        lengths = self.variant.sequence_lengths
        if length is None or not lengths:
            return length
        fitting = [candidate for candidate in lengths if candidate >= length]
        if not fitting:
            raise InputError(
                f"sequence length {length} is longer than variant {self.variant.name!r} takes: it was made "
                f"for lengths {', '.join(map(str, sorted(lengths)))}. Truncate the input, or compile with a "
                "longer --sequence-lengths"
            )
        return min(fitting)

    # ---- running ----

    def _split(
        self, arrays: Dict[str, np.ndarray], rows: Optional[int]
    ) -> List[Tuple[Dict[str, np.ndarray], Optional[int]]]:
        """Parts of ``fixed_batch`` rows, each with the number of its rows that are real."""
        size = self.variant.fixed_batch
        if rows is None or size is None:
            return [(arrays, rows)]
        parts: List[Tuple[Dict[str, np.ndarray], Optional[int]]] = []
        for start in range(0, rows, size):
            count = min(size, rows - start)
            # The last part is filled up with copies of its last row: real values, thrown away afterwards.
            index = np.minimum(np.arange(start, start + size), rows - 1)
            part = {
                spec.name: np.take(arrays[spec.name], index, axis=spec.shape.index(BATCH))
                if BATCH in spec.shape
                else arrays[spec.name]
                for spec in self.inputs
            }
            parts.append((part, count))
        return parts

    def _run_rows(self, feeds: Dict[str, np.ndarray], rows: Optional[int]) -> Dict[str, np.ndarray]:
        results = self.model.run(feeds)
        trimmed: Dict[str, np.ndarray] = {}
        for spec in self.outputs:
            if spec.name not in results:
                raise EngineError(
                    f"variant {self.variant.name!r} on {self.model.label}: output {spec.name!r} is missing: "
                    f"the file gives {', '.join(sorted(results))}. Compile the bundle again"
                )
            result = np.asarray(results[spec.name])
            if result.ndim == len(spec.shape) and rows is not None and BATCH in spec.shape:
                result = _first(result, spec.shape.index(BATCH), rows)
            trimmed[spec.name] = result
        return trimmed

    def _joined(self, spec: TensorSpec, parts: List[np.ndarray], dims: Mapping[str, int]) -> np.ndarray:
        """Parts of one output as one array, without padding, checked against the manifest."""
        if len(parts) > 1 and BATCH not in spec.shape:
            raise EngineError(
                f"variant {self.variant.name!r}: output {spec.name!r} of shape {_text(spec.shape)} has no "
                f"{BATCH!r} dimension, so more than {self.variant.fixed_batch} rows can't be run: pass fewer"
            )
        result = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=spec.shape.index(BATCH))
        if SEQUENCE in spec.shape and SEQUENCE in dims and result.ndim == len(spec.shape):
            result = _first(result, spec.shape.index(SEQUENCE), dims[SEQUENCE])
        expected = tuple(dims.get(dim) if isinstance(dim, str) else dim for dim in spec.shape)
        fits = len(expected) == result.ndim and all(
            size is None or size == result.shape[axis] for axis, size in enumerate(expected)
        )
        if not fits:
            raise EngineError(
                f"variant {self.variant.name!r} on {self.model.label}: output {spec.name!r}: the manifest "
                f"says {_text(spec.shape)}, got {_text(result.shape)}. Compile the bundle again"
            )
        return result.astype(np.dtype(spec.dtype), copy=False)


def _as_array(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InputError(f"input {name!r}: expected an array, got {type(value).__name__}: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"input {name!r}: expected numbers, got an array of {array.dtype}")
    return array


def _checked_dtype(spec: TensorSpec, array: np.ndarray) -> np.ndarray:
    """``array`` in the manifest's dtype; a conversion that could lose something is left to the caller."""
    wanted = np.dtype(spec.dtype)
    if not np.can_cast(array.dtype, wanted, "safe"):
        raise InputError(
            f"input {spec.name!r}: expected {wanted}, got {array.dtype}, which doesn't fit without loss: "
            f"convert it with .astype({wanted.name!r}) if that is meant"
        )
    return array.astype(wanted, copy=False)


def _pad(spec: TensorSpec, array: np.ndarray, length: int) -> np.ndarray:
    """``array`` with its "sequence" dimension filled up to ``length`` with the input's pad value."""
    if SEQUENCE not in spec.shape:
        return array
    axis = spec.shape.index(SEQUENCE)
    widths = [(0, length - array.shape[axis] if dim == axis else 0) for dim in range(array.ndim)]
    return np.pad(array, widths, constant_values=np.asarray(spec.pad_value).astype(array.dtype))


def _first(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    """The first ``count`` entries along ``axis``."""
    index: List[slice] = [slice(None)] * array.ndim
    index[axis] = slice(0, count)
    return array[tuple(index)]


def _text(shape: Tuple[Any, ...]) -> str:
    return "[" + ", ".join(str(dim) for dim in shape) + "]"
