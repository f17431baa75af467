"""What goes into a bundle's model and what comes out, as an app's code has to say it."""

from __future__ import annotations

from dataclasses import dataclass

from edgeformer_runtime.bundle.manifest import Manifest, TensorSpec
from edgeformer_runtime.tasks import get_task

_RESULTS = {
    "text-classification": "Classification",
    "image-classification": "Classification",
    "audio-classification": "Classification",
    "zero-shot-image-classification": "Classification",
    "token-classification": "TokenClassification",
    "question-answering": "Answer",
    "feature-extraction": "Embedding",
    "image-feature-extraction": "Embedding",
    "image-text-similarity": "ImageTextSimilarity",
}
# By the name that the three runtimes give a result: what a caller reads of it first.
FIELDS = {
    "Classification": ("label", "score"),
    "Regression": ("value",),
    "TokenClassification": ("entities",),
    "Answer": ("text", "score"),
    "Embedding": ("embedding",),
    "ImageTextSimilarity": ("similarity",),
}


@dataclass(frozen=True)
class Row:
    """``kind``: "text", "pair", "question", "image", "image_text", "audio" or "tensors", which have no result."""

    kind: str
    result: str | None  # a key of FIELDS
    inputs: tuple[TensorSpec, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> Row:
        """Raises InputError for a task of a later release, RuntimeBundleError for one that can't be."""
        task = get_task(manifest.task, manifest.outputs)
        result = "Regression" if manifest.task.regression else _RESULTS.get(manifest.task.name)
        return cls(_kind(manifest, task.kinds), result, manifest.inputs)

    @property
    def fields(self) -> tuple[str, ...]:
        """What a caller reads of a result first."""
        return () if self.result is None else FIELDS[self.result]


def _kind(manifest: Manifest, kinds: tuple[str, ...]) -> str:
    text = manifest.text
    if kinds == ("text",):
        if manifest.task.name == "question-answering":
            return "question"
        return "text" if text is None or text.single else "pair"
    return "_".join(kinds) if kinds else "tensors"
