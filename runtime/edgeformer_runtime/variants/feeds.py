"""What a benchmark feeds a model: one row of valid input of a typical length."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

import numpy as np

from ..bundle.manifest import Manifest, TensorSpec, VariantEntry
from .execution import BATCH, SEQUENCE

DEFAULT_SEQUENCE_LENGTH = 64  # where the bundle names none


def middle_sequence_length(manifest: Manifest, variants: Tuple[VariantEntry, ...]) -> Optional[int]:
    """A typical length that all of ``variants`` take; None when no input has a sequence."""
    if not any(SEQUENCE in spec.shape for spec in manifest.inputs):
        return None
    lengths = sorted({length for variant in variants for length in variant.sequence_lengths})
    if not lengths:
        longest = manifest.preprocess.max_length if manifest.preprocess is not None else None
        return DEFAULT_SEQUENCE_LENGTH if longest is None else min(DEFAULT_SEQUENCE_LENGTH, longest)
    bound = min(max(variant.sequence_lengths) for variant in variants if variant.sequence_lengths)
    return min(lengths[len(lengths) // 2], bound)


def synthetic_feeds(inputs: Tuple[TensorSpec, ...], sequence_length: Optional[int]) -> Dict[str, np.ndarray]:
    """One row of valid input: {name: array}. Latency of a transformer depends on its shape, hardly on its
    content.

    Integers are the smallest that isn't padding, 0 for token types (many models have one type only); floats
    are normally distributed with a fixed seed. Dimensions other than batch and sequence are 1 where they are
    named.
    """
    sizes = {BATCH: 1, SEQUENCE: sequence_length or 1}
    generator = np.random.default_rng(0)
    feeds: Dict[str, np.ndarray] = {}
    for spec in inputs:
        shape = tuple(sizes.get(dim, 1) if isinstance(dim, str) else dim for dim in spec.shape)
        if np.dtype(spec.dtype).kind == "f":
            feeds[spec.name] = generator.standard_normal(shape).astype(spec.dtype)
        else:
            value = 0 if spec.name == "token_type_ids" or spec.pad_value != 0 else 1
            feeds[spec.name] = np.full(shape, value, dtype=spec.dtype)
    return feeds
