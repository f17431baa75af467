"""feature-extraction: one vector a text, embedding [B, H]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.tasks.similarity import similarity

from ..evaluation.correlation import spearman
from .base import Metric, RowOutputs, Task, Tensors
from .divergence import gaussian_at_draws


@dataclass(frozen=True)
class FeatureExtraction(Task):
    """Embeddings; a decision is the nearest other sample, by dot product."""

    pools: ClassVar[bool] = True
    learns_targets: ClassVar[bool] = False
    damage_unit: ClassVar[str] = "1 − cosine"

    def output_specs(self, width: int) -> tuple[TensorSpec, ...]:
        return (TensorSpec("embedding", "float32", ("batch", width)),)

    def decisions(self, outputs: Sequence[RowOutputs]) -> list[Any]:
        if len(outputs) < 3:
            return []
        vectors = np.stack([row["embedding"] for row in outputs])
        alike = vectors @ vectors.T
        np.fill_diagonal(alike, -np.inf)
        return [int(index) for index in alike.argmax(axis=1)]

    def metric(self, outputs: Sequence[RowOutputs], targets: Sequence[Any]) -> Metric | None:
        """Rank correlation of pairs' similarities with their scores; None for texts that have no pair."""
        if len(outputs) != 2 * len(targets):
            return None
        vectors = [row["embedding"] for row in outputs]
        scores = [similarity(a, b, self.spec.similarity) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
        return Metric("spearman", spearman(scores, targets))

    def damage(self, expected: Tensors, changed: Tensors, real: torch.Tensor | None) -> float:
        return cosine_damage(expected[0], changed[0])

    def direction(self, z: torch.Tensor, real: torch.Tensor | None, noise: torch.Tensor) -> torch.Tensor:
        return cosine_direction(z, noise)

    def response_loss(self, student: Tensors, teacher: Tensors, real: torch.Tensor, temperature: float) -> torch.Tensor:
        return relative_error(student[0], teacher[0])

    def row_losses(
        self, outputs: Tensors, real: torch.Tensor | None, targets: Sequence[Any] | None, generator: torch.Generator
    ) -> torch.Tensor:
        """At a draw: scores of pairs say nothing of one row's embedding."""
        return gaussian_at_draws(outputs, generator)


def cosine_damage(expected: torch.Tensor, changed: torch.Tensor) -> float:
    """Σ 1 − cosine over rows of vectors [B, H]."""
    return float((1 - F.cosine_similarity(expected, changed, dim=-1)).clamp(min=0).sum())


def cosine_direction(z: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """``Task.direction`` of that distance: along the sphere of ``z`` [B, H]."""
    norm = z.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    unit = z / norm
    tangent: torch.Tensor = (noise - unit * (unit * noise).sum(-1, keepdim=True)) / norm
    return tangent


def relative_error(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean over rows of |s − t|² / |t|², for vectors [B, H]."""
    return ((student - teacher).square().sum(-1) / teacher.square().sum(-1).clamp(min=1e-12)).mean()
