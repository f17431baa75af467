"""A LoRA adapter in memory: what it adds to the base model's weights, and what it puts in their place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from ..errors import AdapterError
from .config import LoraConfig

SavedKind = Literal["module", "bias", "embedding"]


@dataclass(frozen=True)
class LowRankUpdate:
    """What an adapter adds to one layer: scale · B·A.

    a: [r, in], [r, in, *kernel] for a convolution, [r, rows] for an embedding. b: [out, r], [out, r, 1…],
    [width, r]. magnitude: DoRA's vector, out elements, or None. Any floating dtype.
    """

    path: str
    a: torch.Tensor
    b: torch.Tensor
    magnitude: torch.Tensor | None
    embedding: bool
    scale: float
    bias: torch.Tensor | None = None  # of B, [out] (lora_bias)

    @property
    def rank(self) -> int:
        """The rank r."""
        return self.a.shape[0]


@dataclass(frozen=True)
class SavedTensor:
    """A tensor that replaces one of the base model's: of a trained head, a bias, an embedding."""

    name: str  # in the base model: "classifier.weight"
    tensor: torch.Tensor
    kind: SavedKind


@dataclass(frozen=True)
class TokenRows:
    """Rows of an embedding that were trained alone (trainable_token_indices): they replace the base's."""

    path: str  # of the embedding
    indices: tuple[int, ...]
    rows: torch.Tensor  # [len(indices), width]


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter in memory, complete and free of NaN and infinity; whether it fits a base model is open.

    ``weight`` multiplies the low-rank updates (not the saved tensors, which replace). DoRA's magnitudes and
    trained biases aren't sums, so with them it must be 1.
    """

    name: str
    path: Path
    config: LoraConfig
    updates: Mapping[str, LowRankUpdate]  # by the layer's path in the base model
    saved: Mapping[str, SavedTensor]  # by the parameter's name in the base model
    weight: float = 1.0
    notes: tuple[str, ...] = ()
    tokens: Mapping[str, TokenRows] = field(default_factory=dict)  # by the embedding's path

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight) or self.weight == 0:
            raise AdapterError(f"adapter {self.name}: weight {self.weight}: expected a finite number other than 0")
        if self.weight != 1 and (self.config.use_dora or self.config.bias != "none"):
            what = "a DoRA adapter" if self.config.use_dora else f"an adapter with bias={self.config.bias!r}"
            raise AdapterError(
                f"adapter {self.name}: weight {self.weight}: {what} replaces values instead of adding to "
                "them, so it can't be scaled: use weight 1"
            )
