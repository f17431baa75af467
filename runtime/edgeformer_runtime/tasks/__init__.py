"""Every task by the name that a manifest gives it; one file each."""

from __future__ import annotations

from typing import Dict, Sequence, Type

from ..bundle.manifest import TaskSpec, TensorSpec
from ..errors import InputError
from .audio_classification import AudioClassification
from .base import Prediction, Task
from .feature_extraction import FeatureExtraction
from .image_classification import ImageClassification
from .image_feature_extraction import ImageFeatureExtraction
from .image_text_similarity import ImageTextTask
from .question_answering import QuestionAnswering
from .tensors import Tensors
from .text_classification import TextClassification
from .token_classification import TokenClassificationTask
from .zero_shot_image_classification import ZeroShotImageClassification

TASKS: Dict[str, Type[Task]] = {
    "text-classification": TextClassification,
    "token-classification": TokenClassificationTask,
    "question-answering": QuestionAnswering,
    "feature-extraction": FeatureExtraction,
    "image-classification": ImageClassification,
    "image-feature-extraction": ImageFeatureExtraction,
    "image-text-similarity": ImageTextTask,
    "zero-shot-image-classification": ZeroShotImageClassification,
    "audio-classification": AudioClassification,
    "tensors": Tensors,
}

__all__ = ["TASKS", "Prediction", "Task", "get_task"]


def get_task(spec: TaskSpec, outputs: Sequence[TensorSpec]) -> Task:
    """The task of a manifest; raises InputError for one of a later release, RuntimeBundleError where it can't be."""
    if spec.name not in TASKS:
        raise InputError(
            f"task {spec.name!r} is unknown to this runtime, which has {', '.join(TASKS)}: update edgeformer-runtime, "
            "or use Session.run with arrays"
        )
    return TASKS[spec.name](spec, tuple(output.name for output in outputs))
