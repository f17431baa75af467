"""What a benchmark feeds a model: one row of valid input of a typical size."""

from __future__ import annotations

from typing import Dict, Mapping, Sequence, Tuple

import numpy as np

from ..bundle.manifest import BATCH, SEQUENCE, Manifest, TaskSpec, TensorSpec, VariantEntry
from ..preprocess.registry import inputs_fed_by
from ..tasks import TASKS

# of a named dimension, where the bundle names no length: a sentence or two, a second of sound, a usual picture
USUAL_SIZES = {SEQUENCE: 64, "samples": 16_000, "frames": 100, "height": 224, "width": 224}


def inputs_of_prediction(
    task: TaskSpec, kinds: Sequence[str], inputs: Tuple[TensorSpec, ...]
) -> Tuple[TensorSpec, ...]:
    """Those of a model's ``inputs`` that one prediction feeds: of a model of two towers perhaps one tower's.

    ``kinds``: of preprocessing that the model has.
    """
    reads = TASKS[task.name].reads if task.name in TASKS else None
    wanted = [] if reads is None else reads.split(" and ")
    if not set(wanted) < set(kinds):
        return inputs
    fed = [spec for kind in wanted for spec in inputs_fed_by(kind, kinds, inputs)]
    return tuple(spec for spec in inputs if spec in fed) or inputs


def prediction_inputs(manifest: Manifest) -> Tuple[TensorSpec, ...]:
    """``inputs_of_prediction`` of a bundle."""
    return inputs_of_prediction(manifest.task, [item.kind for item in manifest.preprocess], manifest.inputs)


def typical_sizes(manifest: Manifest, variants: Sequence[VariantEntry]) -> Dict[str, int]:
    """A size of each named dimension of a prediction's inputs, but the batch, that all of ``variants`` take."""
    dims = {dim for spec in prediction_inputs(manifest) for dim in spec.shape if isinstance(dim, str)}
    names = sorted(dims - {BATCH})
    return {name: _typical(name, manifest, variants) for name in names}


def _typical(name: str, manifest: Manifest, variants: Sequence[VariantEntry]) -> int:
    lengths = sorted({length for variant in variants for length in variant.lengths_of(name)})
    if lengths:
        bound = min(max(variant.lengths_of(name)) for variant in variants if variant.lengths_of(name))
        return min(lengths[len(lengths) // 2], bound)
    usual = USUAL_SIZES.get(name, 1)
    if name == SEQUENCE and manifest.text is not None:
        return min(usual, manifest.text.max_length)
    return usual


def synthetic_feeds(inputs: Tuple[TensorSpec, ...], sizes: Mapping[str, int]) -> Dict[str, np.ndarray]:
    """One row of valid input: {name: array}. Latency of a transformer depends on its shape, hardly on its
    content.

    ``sizes``: of named dimensions; those that it doesn't have are 1. Integers are the smallest that isn't padding, 0
    for token types (many models have one type only); floats are normally distributed with a fixed seed.
    """
    generator = np.random.default_rng(0)
    feeds: Dict[str, np.ndarray] = {}
    for spec in inputs:
        shape = tuple(sizes.get(dim, 1) if isinstance(dim, str) else dim for dim in spec.shape)
        if np.dtype(spec.dtype).kind == "f":
            feeds[spec.name] = generator.standard_normal(shape).astype(spec.dtype)
        else:
            value = 0 if spec.role == "token_types" or spec.pad_value != 0 else 1
            feeds[spec.name] = np.full(shape, value, dtype=spec.dtype)
    return feeds
