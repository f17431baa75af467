"""image-text-similarity: a vector for a picture and one for a text, comparable; each tower is a graph of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from edgeformer_runtime.bundle.manifest import TensorSpec

from .base import Metric, Reads, RowOutputs, Targets, Task, Tensors
from .divergence import gaussian_at_draws
from .feature_extraction import cosine_damage, cosine_direction, relative_error

IMAGE, TEXT = "image_embeds", "text_embeds"


@dataclass(frozen=True)
class ImageTextSimilarity(Task):
    """A row is a picture with a text; a decision is the nearest text among the rows'."""

    reads: Reads = "image and text"

    targets: ClassVar[Targets] = "text"
    learns_targets: ClassVar[bool] = False
    damage_unit: ClassVar[str] = "1 − cosine"
    graphs: ClassVar[Mapping[str, tuple[tuple[str, ...], str]]] = {
        "image": (("pixels",), IMAGE),
        "text": (("tokens",), TEXT),
    }

    def output_specs(self, width: int) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, "float32", ("batch", width)) for name in (IMAGE, TEXT))

    def select(self, result: Any) -> tuple[torch.Tensor, ...]:
        return result.image_embeds, result.text_embeds

    def texts(self, texts: Sequence[str]) -> Sequence[str]:
        """What the text tower reads in each row, whose own texts are given."""
        return texts

    def decisions(self, outputs: Sequence[RowOutputs]) -> list[Any]:
        return nearest(outputs, outputs) if len(outputs) > 1 else []

    def metric(self, outputs: Sequence[RowOutputs], targets: Sequence[Any]) -> Metric | None:
        """How often the nearest of all rows' texts is one of the picture's own.

        Args:
            outputs: of each row.
            targets: of each row its own text, and behind it the other texts of its picture.
        """
        found = self.decisions(outputs)
        hits = [float(targets[place][0] in target) for place, target in zip(found, targets, strict=False)]
        return Metric("recall_at_1", float(np.mean(hits)), tuple(hits)) if hits else None

    def damage(self, expected: Tensors, changed: Tensors, real: torch.Tensor | None) -> float:
        return sum(cosine_damage(a, b) for a, b in zip(expected, changed, strict=True))

    def direction(self, z: torch.Tensor, real: torch.Tensor | None, noise: torch.Tensor) -> torch.Tensor:
        return cosine_direction(z, noise)

    def response_loss(self, student: Tensors, teacher: Tensors, real: torch.Tensor, temperature: float) -> torch.Tensor:
        return torch.stack([relative_error(s, t) for s, t in zip(student, teacher, strict=True)]).mean()

    def row_losses(
        self, outputs: Tensors, real: torch.Tensor | None, targets: Sequence[Any] | None, generator: torch.Generator
    ) -> torch.Tensor:
        return gaussian_at_draws(outputs, generator)


def nearest(pictures: Sequence[RowOutputs], texts: Sequence[RowOutputs]) -> list[int]:
    """For each row's picture the place of the nearest of ``texts``; vectors have length 1."""
    first = np.stack([np.asarray(row[IMAGE], np.float64) for row in pictures])
    second = np.stack([np.asarray(row[TEXT], np.float64) for row in texts])
    return [int(index) for index in (first @ second.T).argmax(axis=1)]
