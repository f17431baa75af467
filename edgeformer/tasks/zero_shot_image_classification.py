"""zero-shot-image-classification: the label whose text is nearest to a picture, among labels that need no training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.tasks import Task as DeviceTask
from edgeformer_runtime.tasks.zero_shot_image_classification import TEMPLATE
from edgeformer_runtime.tasks.zero_shot_image_classification import ZeroShotImageClassification as DeviceZeroShot

from .base import Metric, Reads, RowOutputs, Targets
from .image_text_similarity import TEXT, ImageTextSimilarity, nearest


@dataclass(frozen=True)
class ZeroShotImageClassification(ImageTextSimilarity):
    """A row is a picture, with its label where rows are labelled; the labels' texts go with the rows in turn."""

    reads: Reads = "image"

    targets: ClassVar[Targets] = "label"

    @property
    def min_rows(self) -> int:
        return len(self.spec.labels)

    def label_texts(self) -> tuple[str, ...]:
        """What the text tower reads for each label."""
        template = self.spec.hypothesis_template or TEMPLATE
        return tuple(template.replace("{}", label) for label in self.spec.labels)

    def texts(self, texts: Sequence[str]) -> Sequence[str]:
        """The labels' texts in turn, whatever the rows' own labels are: the first rows hold every one."""
        known = self.label_texts()
        return [known[index % len(known)] for index in range(len(texts))]

    def on_device(self, outputs: Sequence[RowOutputs], specs: Sequence[TensorSpec]) -> DeviceTask | None:
        labels = self.spec.labels
        if len(outputs) < len(labels):
            return None
        vectors = np.stack([row[TEXT] for row in outputs[: len(labels)]])
        return DeviceZeroShot(self.spec, tuple(spec.name for spec in specs)).with_labels(labels, vectors)

    def judged(self, outputs: Sequence[RowOutputs], stored: Sequence[RowOutputs]) -> Sequence[RowOutputs]:
        """Labels' vectors are in the bundle, the compressed model's, whatever a variant's own tower of texts gives."""
        return [{**row, TEXT: known[TEXT]} for row, known in zip(outputs, stored, strict=True)]

    def decisions(self, outputs: Sequence[RowOutputs]) -> list[Any]:
        """Places among the labels; [] where the rows are fewer than the labels, so that some have no vector."""
        count = len(self.spec.labels)
        return nearest(outputs, outputs[:count]) if len(outputs) >= count else []

    def metric(self, outputs: Sequence[RowOutputs], targets: Sequence[Any]) -> Metric | None:
        hits = [float(found == target) for found, target in zip(self.decisions(outputs), targets, strict=False)]
        return Metric("accuracy", float(np.mean(hits)), tuple(hits)) if hits else None
