"""image-classification: a picture to one label, several labels, or a number, by ``classification.py``."""

from __future__ import annotations

from edgeformer_runtime.bundle.manifest import TaskSpec

from .base import Task
from .classification import classification


def image_classification(spec: TaskSpec) -> Task:
    """The head of ``spec``, whose rows are pictures."""
    return classification(spec, reads="image")
