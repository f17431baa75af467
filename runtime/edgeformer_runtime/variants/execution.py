"""Feeding a loaded variant: from arrays of any batch and sequence to the shapes that its file has, and back.

Static variants (TFLite, Core ML) hold one shape for each of their lengths of a named dimension ("sequence", "frames").
A shorter input is padded at the end of that dimension to the nearest length that fits, and outputs are trimmed back;
the attention mask, padded with 0, keeps the padding out of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from ..bundle.manifest import BATCH, TensorSpec, VariantEntry
from ..device.memory import inference_error
from ..engines.base import LoadedModel
from ..errors import EngineError, InputError

_MAX_PLANS = 256


@dataclass(frozen=True)
class _Plan:
    """What was found out about feeds of certain shapes and dtypes; the same feeds need no second look.

    ``dims``: named dimensions as given, ``padded`` those that are longer as run. ``casts``: some input has to be
    converted. ``rows``: the batch, None without one. ``split``: the rows must go in parts of ``fixed_batch``.
    ``shapes``: what each output must have in the end, None for a dimension that only the engine knows.
    """

    dims: Mapping[str, int]
    casts: bool
    padded: Mapping[str, int]
    split: bool
    rows: Optional[int]
    shapes: Tuple[Tuple[Optional[int], ...], ...]


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
        self._input_names = tuple(spec.name for spec in inputs)
        self._output_dtypes = tuple(np.dtype(spec.dtype) for spec in outputs)
        self._plans: Dict[Any, _Plan] = {}

    @property
    def label(self) -> str:
        """What runs it: package, version and what it runs on."""
        return self.model.label

    @property
    def delegation(self) -> Tuple[str, ...]:
        """What ran where, as far as the engine says."""
        return tuple(self.model.delegation)

    def run(self, feeds: Mapping[str, Any]) -> Dict[str, np.ndarray]:
        """{input name: array} to {output name: array}, with the shapes and dtypes of the manifest.

        Raises InputError for names, dtypes, shapes or lengths that the variant can't take, EngineError when
        the engine fails or returns something other than the manifest says.
        """
        arrays, key = self._arrays(feeds)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._make_plan(arrays)
            if len(self._plans) >= _MAX_PLANS:  # lengths of texts vary, and forgetting costs microseconds
                self._plans.clear()
            self._plans[key] = plan
        try:
            return self._run(plan, arrays)
        except MemoryError as error:  # numpy's, while padding or joining; the engines name their own
            raise inference_error(self.model.label, error, arrays) from error

    def close(self) -> None:
        """Release the model's memory; calling it twice is harmless."""
        self.model.close()

    # ---- checks of what comes in ----

    def _arrays(self, feeds: Mapping[str, Any]) -> Tuple[Dict[str, np.ndarray], Any]:
        """The feeds as arrays in the manifest's order, and what decides the plan: their shapes and dtypes."""
        if len(feeds) != len(self._input_names) or not all(name in feeds for name in self._input_names):
            self._refuse_names(feeds)
        arrays = {}
        key = []
        for name in self._input_names:
            array = feeds[name]
            if type(array) is not np.ndarray:
                array = _as_array(name, array)
            arrays[name] = array
            key.append((array.shape, array.dtype))
        return arrays, tuple(key)

    def _make_plan(self, arrays: Mapping[str, np.ndarray]) -> _Plan:
        """Check feeds of new shapes or dtypes; raises InputError for those that the variant can't take."""
        for spec in self.inputs:
            _check_dtype(spec, arrays[spec.name])
        dims = self._checked_dims(arrays)
        rows, size = dims.get(BATCH), self.variant.fixed_batch
        return _Plan(
            dims=dims,
            casts=any(arrays[spec.name].dtype != np.dtype(spec.dtype) for spec in self.inputs),
            padded=self._padded(dims),
            split=rows is not None and size is not None and rows != size,
            rows=rows,
            shapes=tuple(
                tuple(dims.get(dim) if isinstance(dim, str) else dim for dim in spec.shape) for spec in self.outputs
            ),
        )

    def _refuse_names(self, feeds: Mapping[str, Any]) -> None:
        missing = [name for name in self._input_names if name not in feeds]
        unknown = [str(name) for name in feeds if name not in self._input_names]
        found = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
        raise InputError(
            f"variant {self.variant.name!r} takes inputs {', '.join(self._input_names)}; {'; '.join(found)}"
        )

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

    def _padded(self, dims: Mapping[str, int]) -> Dict[str, int]:
        """The dimensions that have to grow, and to what."""
        padded: Dict[str, int] = {}
        for name, lengths in self.variant.lengths.items():
            size = dims.get(name)
            if size is None or size in lengths:
                continue
            fitting = [candidate for candidate in lengths if candidate > size]
            if not fitting:
                raise InputError(
                    f"{name} length {size} is longer than variant {self.variant.name!r} takes: it was made for lengths "
                    f"{', '.join(map(str, lengths))}. Cut the input, or compile with longer ones "
                    "(--sequence-lengths for texts)"
                )
            padded[name] = min(fitting)
        return padded

    # ---- running ----

    def _run(self, plan: _Plan, arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
        if plan.casts:
            arrays = {spec.name: arrays[spec.name].astype(spec.dtype, copy=False) for spec in self.inputs}
        if plan.padded:
            arrays = {spec.name: _pad(spec, arrays[spec.name], plan.padded) for spec in self.inputs}
        if not plan.split:
            results = self.model.run(arrays)
            self._check_present(results)
            return {
                spec.name: self._finished(index, plan, results[spec.name]) for index, spec in enumerate(self.outputs)
            }
        parts = [self._run_part(part, rows) for part, rows in self._split(arrays, plan.rows or 0)]
        return {
            spec.name: self._finished(index, plan, self._joined(spec, [part[spec.name] for part in parts]))
            for index, spec in enumerate(self.outputs)
        }

    def _split(self, arrays: Dict[str, np.ndarray], rows: int) -> List[Tuple[Dict[str, np.ndarray], int]]:
        """Parts of ``fixed_batch`` rows, each with the number of its rows that are real."""
        size = self.variant.fixed_batch or rows
        parts: List[Tuple[Dict[str, np.ndarray], int]] = []
        for start in range(0, rows, size):
            # The last part is filled up with copies of its last row: real values, thrown away afterwards.
            index = np.minimum(np.arange(start, start + size), rows - 1)
            part = {
                spec.name: np.take(arrays[spec.name], index, axis=spec.shape.index(BATCH))
                if BATCH in spec.shape
                else arrays[spec.name]
                for spec in self.inputs
            }
            parts.append((part, min(size, rows - start)))
        return parts

    def _run_part(self, feeds: Dict[str, np.ndarray], rows: int) -> Dict[str, np.ndarray]:
        results = self.model.run(feeds)
        self._check_present(results)
        trimmed: Dict[str, np.ndarray] = {}
        for spec in self.outputs:
            result = np.asarray(results[spec.name])
            if result.ndim == len(spec.shape) and BATCH in spec.shape:
                result = _first(result, spec.shape.index(BATCH), rows)
            trimmed[spec.name] = result
        return trimmed

    def _check_present(self, results: Mapping[str, Any]) -> None:
        for spec in self.outputs:
            if spec.name not in results:
                raise EngineError(
                    f"variant {self.variant.name!r} on {self.model.label}: output {spec.name!r} is missing: "
                    f"the file gives {', '.join(sorted(results))}. Compile the bundle again"
                )

    def _joined(self, spec: TensorSpec, parts: List[np.ndarray]) -> np.ndarray:
        if len(parts) == 1:
            return parts[0]
        if BATCH not in spec.shape:
            raise EngineError(
                f"variant {self.variant.name!r}: output {spec.name!r} of shape {_text(spec.shape)} has no "
                f"{BATCH!r} dimension, so more than {self.variant.fixed_batch} rows can't be run: pass fewer"
            )
        return np.concatenate(parts, axis=spec.shape.index(BATCH))

    def _finished(self, index: int, plan: _Plan, result: np.ndarray) -> np.ndarray:
        """One output without padding, in the manifest's dtype, checked against the manifest."""
        expected, dtype = plan.shapes[index], self._output_dtypes[index]
        if type(result) is np.ndarray and result.shape == expected and result.dtype == dtype:
            return result
        spec = self.outputs[index]
        result = np.asarray(result)
        if result.ndim == len(spec.shape):
            for axis, dim in enumerate(spec.shape):
                if dim in plan.padded:
                    result = _first(result, axis, plan.dims[str(dim)])
        fits = len(expected) == result.ndim and all(
            size is None or size == result.shape[axis] for axis, size in enumerate(expected)
        )
        if not fits:
            raise EngineError(
                f"variant {self.variant.name!r} on {self.model.label}: output {spec.name!r}: the manifest "
                f"says {_text(spec.shape)}, got {_text(result.shape)}. Compile the bundle again"
            )
        return result.astype(dtype, copy=False)


def _as_array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InputError(f"input {name!r}: expected an array, got {type(value).__name__}: {error}") from error


def _check_dtype(spec: TensorSpec, array: np.ndarray) -> None:
    """Refuse a conversion that could lose something: it is left to the caller."""
    wanted = np.dtype(spec.dtype)
    if array.dtype.kind not in "biuf":
        raise InputError(f"input {spec.name!r}: expected numbers, got an array of {array.dtype}")
    if not np.can_cast(array.dtype, wanted, "safe"):
        raise InputError(
            f"input {spec.name!r}: expected {wanted}, got {array.dtype}, which doesn't fit without loss: "
            f"convert it with .astype({wanted.name!r}) if that is meant"
        )


def _pad(spec: TensorSpec, array: np.ndarray, sizes: Mapping[str, int]) -> np.ndarray:
    """``array`` with the dimensions of ``sizes`` filled up at their end with the input's pad value."""
    if not any(dim in sizes for dim in spec.shape):
        return array
    widths = [(0, sizes.get(str(dim), size) - size) for dim, size in zip(spec.shape, array.shape)]
    return np.pad(array, widths, constant_values=np.asarray(spec.pad_value).astype(array.dtype))


def _first(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    """The first ``count`` entries along ``axis``."""
    index: List[slice] = [slice(None)] * array.ndim
    index[axis] = slice(0, count)
    return array[tuple(index)]


def _text(shape: Tuple[Any, ...]) -> str:
    return "[" + ", ".join(str(dim) for dim in shape) + "]"
