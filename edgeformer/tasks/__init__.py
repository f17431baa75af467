"""Tasks: what a model's outputs mean. One task a file; everything that depends on a task's name is asked of it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..errors import InputError
from .audio_classification import audio_classification
from .base import Metric, RowOutputs, Task
from .feature_extraction import FeatureExtraction
from .image_classification import image_classification
from .image_feature_extraction import ImageFeatureExtraction
from .image_text_similarity import ImageTextSimilarity
from .question_answering import QuestionAnswering
from .tensors import Tensors
from .text_classification import text_classification
from .token_classification import TokenClassification
from .zero_shot_image_classification import ZeroShotImageClassification

TASKS: Mapping[str, Callable[[TaskSpec], Task]] = {
    "text-classification": text_classification,
    "token-classification": TokenClassification,
    "question-answering": QuestionAnswering,
    "feature-extraction": FeatureExtraction,
    "image-classification": image_classification,
    "image-feature-extraction": ImageFeatureExtraction,
    "image-text-similarity": ImageTextSimilarity,
    "zero-shot-image-classification": ZeroShotImageClassification,
    "audio-classification": audio_classification,
    "tensors": Tensors,
}


def get_task(spec: TaskSpec) -> Task:
    """The task that ``spec`` names, with its labels; raises InputError for a name that no file here is for."""
    made = TASKS.get(spec.name)
    if made is None:
        raise InputError(f"task {spec.name!r} is unknown: expected one of {', '.join(TASKS)}")
    return made(spec)


__all__ = ["TASKS", "Metric", "RowOutputs", "Task", "get_task"]
