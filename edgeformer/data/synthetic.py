"""Made-up rows for comparing numerics where no data was given: they say nothing about accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ModelError
from ..model.signature import Signature
from .encoded import EncodedSamples, Feeds

SYNTHETIC_ROWS = 32


def synthetic(
    signature: Signature, max_length: int, seed: int = 0, examples: Sequence[torch.Tensor] = ()
) -> EncodedSamples:
    """``SYNTHETIC_ROWS`` random rows: of 2 to ``max_length`` tokens, or else of the size of ``examples``."""
    rng = np.random.default_rng(seed)
    if signature.input("tokens") is not None:
        lengths = (int(rng.integers(2, max_length + 1)) for _ in range(SYNTHETIC_ROWS))
        made = tuple(random_tokens(signature, length, rng) for length in lengths)
        return EncodedSamples(made, None, f"{SYNTHETIC_ROWS} rows of random tokens", made_up=True)
    rows = tuple(_random_tensors(signature, examples, rng) for _ in range(SYNTHETIC_ROWS))
    return EncodedSamples(rows, None, f"{SYNTHETIC_ROWS} rows of random tensors", made_up=True)


def random_tokens(signature: Signature, length: int, rng: np.random.Generator) -> Feeds:
    """One row of ``length`` random tokens, or as many as the model takes, none of them padding; with random pixels
    where it takes both.
    """
    tokens = signature.input("tokens")
    if tokens is not None and isinstance(tokens.shape[1], int):
        length = tokens.shape[1]
    ids = rng.integers(0, signature.vocabulary, (1, length), dtype=np.int64)
    pad = signature.pad_token_id
    ids[ids == pad] = min(pad + 1, signature.vocabulary - 1)
    if signature.end_token_id is not None:
        ids[:, -1] = signature.end_token_id
    by_role: dict[str, NDArray[Any]] = {"tokens": ids, "mask": np.ones_like(ids), "token_types": np.zeros_like(ids)}
    pixels = signature.input("pixels")
    if pixels is not None:
        by_role["pixels"] = rng.standard_normal((1, *map(int, pixels.shape[1:])), dtype=np.float32)
    missing = [f"{spec.name} ({spec.role})" for spec in signature.inputs if spec.role not in by_role]
    if missing:
        raise ModelError(f"no rows can be made up for the inputs {', '.join(missing)}: give rows of your own")
    return {spec.name: by_role[str(spec.role)] for spec in signature.inputs}


def _random_tensors(
    signature: Signature, examples: Sequence[torch.Tensor], rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """One row of the shapes of the examples, in their range."""
    feeds: dict[str, NDArray[Any]] = {}
    for spec, example in zip(signature.inputs, examples or map(_ones, signature.inputs), strict=True):
        array = example[:1].numpy()
        if array.dtype.kind == "f":
            scale = float(np.abs(array).max()) or 1.0
            feeds[spec.name] = (rng.standard_normal(array.shape) * scale / 3).astype(array.dtype)
        else:
            feeds[spec.name] = rng.integers(array.min(), array.max() + 1, array.shape, dtype=array.dtype)
    return feeds


def _ones(spec: Any) -> torch.Tensor:
    """What stands for an example where only a manifest is at hand."""
    return torch.ones([2 if isinstance(dim, str) else dim for dim in spec.shape], dtype=getattr(torch, spec.dtype))
