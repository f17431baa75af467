"""MIL operations that move, select, or reduce elements, in numpy, parametrised as in the MIL reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import ExportError

Array = NDArray[Any]
_ZERO = np.float32(0)


def shape(x: Array) -> Array:
    """The sizes of x as int32 [rank]."""
    return np.array(np.shape(x), np.int32)


def reshape(x: Array, shape: Array) -> Array:
    """The same elements in another shape; -1 is inferred, 0 keeps the size of that axis of x."""
    sizes = [int(size) for size in np.ravel(shape)]
    kept = [x.shape[axis] if size == 0 and axis < x.ndim else size for axis, size in enumerate(sizes)]
    return np.reshape(x, kept)


def reshape_like(x: Array, ref_tensors: Sequence[Array], begins: Array, ends: Array, end_masks: Array) -> Array:
    """x in the shape made of slices of the shapes of ``ref_tensors``, one after the other."""
    sizes: list[int] = []
    for reference, begin, end, to_end in zip(ref_tensors, begins, ends, end_masks, strict=True):
        sizes += reference.shape[int(begin) : None if to_end else int(end)]
    return np.reshape(x, sizes)


def transpose(x: Array, perm: Array) -> Array:
    """x with its axes in the order ``perm``."""
    return np.transpose(x, _axes(perm))


def expand_dims(x: Array, axes: Array) -> Array:
    """x with axes of size 1 inserted."""
    return np.expand_dims(x, _axes(axes))


def squeeze(x: Array, axes: Array | None = None) -> Array:
    """x without the given axes, or without all those of size 1."""
    return np.squeeze(x, None if axes is None else _axes(axes))


def tile(x: Array, reps: Array) -> Array:
    """x repeated ``reps[i]`` times along axis i."""
    return np.tile(x, _axes(reps))


def fill(shape: Array, value: Any = _ZERO) -> Array:
    """An array of ``shape`` full of ``value``."""
    return np.full(_axes(shape), value, np.asarray(value).dtype)


def fill_like(ref_tensor: Array, value: Any = _ZERO) -> Array:
    """An array of the shape of ``ref_tensor`` full of ``value``."""
    return np.full(np.shape(ref_tensor), value, np.asarray(value).dtype)


def range_1d(start: Any, end: Any, step: Any) -> Array:
    """start, start + step, … below end."""
    return np.arange(start, end, step, dtype=np.result_type(start, end, step))


def concat(values: Sequence[Array], axis: int, interleave: bool = False) -> Array:
    """The arrays one after the other along ``axis``, or element by element in turn."""
    if not interleave:
        return np.concatenate([np.atleast_1d(value) for value in values], axis=int(axis))
    where = int(axis) % values[0].ndim
    stacked = np.stack(values, axis=where + 1)
    sizes = list(values[0].shape)
    sizes[where] *= len(values)
    return stacked.reshape(sizes)


def stack(values: Sequence[Array], axis: int) -> Array:
    """The arrays along a new axis."""
    return np.stack(values, axis=int(axis))


def split(x: Array, axis: int, num_splits: int | None = None, split_sizes: Array | None = None) -> tuple[Array, ...]:
    """x in ``num_splits`` equal parts, or in parts of ``split_sizes``."""
    if split_sizes is not None:
        return tuple(np.split(x, np.cumsum(split_sizes)[:-1], axis=int(axis)))
    if num_splits is None:
        raise ExportError("coreml evaluator: split needs num_splits or split_sizes")
    return tuple(np.split(x, int(num_splits), axis=int(axis)))


def slice_by_index(
    x: Array,
    begin: Array,
    end: Array,
    stride: Array | None = None,
    begin_mask: Array | None = None,
    end_mask: Array | None = None,
    squeeze_mask: Array | None = None,
) -> Array:
    """x[begin:end:stride]; a mask drops that bound of an axis, or takes one index and drops the axis."""

    def masked(mask: Array | None, axis: int) -> bool:
        return mask is not None and bool(np.ravel(mask)[axis])

    starts, stops = np.ravel(begin), np.ravel(end)
    index: list[int | slice] = []
    for axis in range(len(starts)):
        if masked(squeeze_mask, axis):
            index.append(int(starts[axis]))
            continue
        first = None if masked(begin_mask, axis) else int(starts[axis])
        last = None if masked(end_mask, axis) else int(stops[axis])
        index.append(slice(first, last, 1 if stride is None else int(np.ravel(stride)[axis])))
    return np.asarray(x[tuple(index)])


def slice_by_size(x: Array, begin: Array, size: Array) -> Array:
    """``size`` elements from ``begin`` on along each axis; size -1 means up to the end."""
    bounds = zip(_axes(begin), _axes(size), strict=True)
    return np.asarray(x[tuple(slice(first, None if count == -1 else first + count) for first, count in bounds)])


def gather(x: Array, indices: Array, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False) -> Array:
    """Slices of x at ``indices`` along ``axis``; the first ``batch_dims`` axes of both run together."""
    where = int(axis) % x.ndim
    index = _checked(indices, x.shape[where], "gather")
    batch = int(batch_dims)
    if batch == 0:
        return np.asarray(np.take(x, index, axis=where))
    lead = x.shape[:batch]
    flat_x, flat_index = x.reshape(-1, *x.shape[batch:]), index.reshape(-1, *index.shape[batch:])
    taken = [np.take(each, where_, axis=where - batch) for each, where_ in zip(flat_x, flat_index, strict=True)]
    return np.stack(taken).reshape(*lead, *taken[0].shape)


def gather_along_axis(x: Array, indices: Array, axis: int = 0, validate_indices: bool = False) -> Array:
    """For each element of ``indices`` the element of x at that place along ``axis``, other axes alike."""
    where = int(axis) % x.ndim
    index = _checked(indices, x.shape[where], "gather_along_axis")
    target = tuple(
        index.shape[each] if each == where else max(index.shape[each], x.shape[each]) for each in range(x.ndim)
    )
    source = tuple(x.shape[each] if each == where else target[each] for each in range(x.ndim))
    return np.take_along_axis(np.broadcast_to(x, source), np.broadcast_to(index, target), axis=where)


def gather_nd(x: Array, indices: Array, batch_dims: int = 0, validate_indices: bool = False) -> Array:
    """x[indices[..., 0], indices[..., 1], …]; the first ``batch_dims`` axes of both run together."""
    index = np.asarray(indices).astype(np.intp)
    batch = int(batch_dims)
    grids = np.meshgrid(*(np.arange(size) for size in x.shape[:batch]), indexing="ij") if batch else []
    extra = index.ndim - 1 - batch
    lead = [grid.reshape(*grid.shape, *([1] * extra)) for grid in grids]
    return np.asarray(x[(*lead, *np.moveaxis(index, -1, 0))])


def one_hot(indices: Array, one_hot_vector_size: int, axis: int = -1, on_value: Any = 1, off_value: Any = 0) -> Array:
    """A new axis that is ``on_value`` at the index and ``off_value`` elsewhere."""
    hit = np.arange(int(one_hot_vector_size)) == np.asarray(indices)[..., None]
    chosen = np.where(hit, on_value, off_value).astype(np.asarray(on_value).dtype)
    return np.moveaxis(chosen, -1, int(axis))


def pad(x: Array, pad: Array, mode: str = "constant", constant_val: Any = 0.0) -> Array:
    """Pad the last axes by pairs (before, after)."""
    pairs = [(int(before), int(after)) for before, after in np.reshape(pad, (-1, 2))]
    widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    if mode == "constant":
        return np.pad(x, widths, constant_values=constant_val)
    return np.pad(x, widths, mode="reflect" if mode == "reflect" else "edge")


def band_part(x: Array, lower: int = -1, upper: int = -1) -> Array:
    """The last two axes with everything zeroed below the ``lower``-th and above the ``upper``-th diagonal."""
    row, column = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])[None, :]
    keep = ((int(lower) < 0) | (row - column <= int(lower))) & ((int(upper) < 0) | (column - row <= int(upper)))
    return np.where(keep, x, np.zeros((), x.dtype))


def cumsum(x: Array, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Array:
    """Running sum along ``axis``; ``exclusive`` leaves the element out, ``reverse`` starts at the end."""
    ordered = np.flip(x, int(axis)) if reverse else x
    total = np.cumsum(ordered, axis=int(axis), dtype=x.dtype)
    if exclusive:
        total = total - ordered
    return np.flip(total, int(axis)) if reverse else total


def _reduction(function: Callable[..., Array]) -> Callable[..., Array]:
    """A numpy reduction under MIL's argument names; without ``axes`` it goes over all of them."""

    def reduce(x: Array, axes: Array | None = None, keep_dims: bool = False) -> Array:
        return np.asarray(function(x, axis=None if axes is None else _axes(axes), keepdims=bool(keep_dims)))

    return reduce


def _sum(x: Array, **where: Any) -> Array:
    return np.asarray(np.sum(x, dtype=x.dtype, **where))


def _l2_norm(x: Array, **where: Any) -> Array:
    return np.asarray(np.sqrt(np.sum(np.square(x), **where)))


def _l1_norm(x: Array, **where: Any) -> Array:
    return np.asarray(np.sum(np.abs(x), **where))


def _sum_square(x: Array, **where: Any) -> Array:
    return np.asarray(np.sum(np.square(x), **where))


def _log_sum_exp(x: Array, axis: Any, keepdims: bool) -> Array:
    largest = np.max(x, axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True)) + largest
    return np.asarray(total if keepdims else np.squeeze(total, axis))


def reduce_argmax(x: Array, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Array:
    """The index of the largest element along ``axis``."""
    return np.asarray(np.argmax(x, axis=int(axis), keepdims=bool(keep_dims))).astype(str(output_dtype))


def reduce_argmin(x: Array, axis: int = -1, keep_dims: bool = False) -> Array:
    """The index of the smallest element along ``axis``, int32."""
    return np.asarray(np.argmin(x, axis=int(axis), keepdims=bool(keep_dims))).astype(np.int32)


def _axes(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in np.ravel(values))


def _checked(indices: Array, size: int, operator: str) -> Array:
    """Indices as numpy takes them. Core ML leaves out-of-range ones undefined, so they are refused here."""
    index = np.asarray(indices).astype(np.intp)
    if index.size and (index.min() < -size or index.max() >= size):
        raise ExportError(f"coreml evaluator: {operator}: indices {index.min()}…{index.max()} leave an axis of {size}")
    return index


OPERATIONS: Mapping[str, Callable[..., Array | tuple[Array, ...]]] = {
    "band_part": band_part,
    "concat": concat,
    "cumsum": cumsum,
    "expand_dims": expand_dims,
    "fill": fill,
    "fill_like": fill_like,
    "gather": gather,
    "gather_along_axis": gather_along_axis,
    "gather_nd": gather_nd,
    "one_hot": one_hot,
    "pad": pad,
    "range_1d": range_1d,
    "reduce_argmax": reduce_argmax,
    "reduce_argmin": reduce_argmin,
    "reduce_l1_norm": _reduction(_l1_norm),
    "reduce_l2_norm": _reduction(_l2_norm),
    "reduce_log_sum_exp": _reduction(_log_sum_exp),
    "reduce_max": _reduction(np.max),
    "reduce_mean": _reduction(np.mean),
    "reduce_min": _reduction(np.min),
    "reduce_prod": _reduction(np.prod),
    "reduce_sum": _reduction(_sum),
    "reduce_sum_square": _reduction(_sum_square),
    "reshape": reshape,
    "reshape_like": reshape_like,
    "shape": shape,
    "slice_by_index": slice_by_index,
    "slice_by_size": slice_by_size,
    "split": split,
    "squeeze": squeeze,
    "stack": stack,
    "tile": tile,
    "transpose": transpose,
}
