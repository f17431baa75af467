"""audio-classification: a sound to one label, several labels, or a number, by ``classification.py``."""

from __future__ import annotations

from edgeformer_runtime.bundle.manifest import TaskSpec

from .base import Task
from .classification import classification


def audio_classification(spec: TaskSpec) -> Task:
    """The head of ``spec``, whose rows are sounds."""
    return classification(spec, reads="audio")
