"""From pictures with texts to the arrays of both towers, by the same code that runs on the device."""

from __future__ import annotations

from functools import cache

from edgeformer_runtime.preprocess.image_encoder import ImageEncoder
from edgeformer_runtime.preprocess.registry import inputs_fed_by
from edgeformer_runtime.preprocess.text import EncodedText, TextEncoder, TextPreprocess

from ..errors import SamplesError
from ..model.signature import Signature
from ..rows.samples import Samples
from ..tasks import get_task
from ..tasks.image_text_similarity import ImageTextSimilarity
from .encoded import EncodedSamples


def encode_image_text(signature: Signature, preprocess: TextPreprocess, samples: Samples) -> EncodedSamples:
    """The rows as arrays: each row's picture, and the text that the task puts beside it.

    Raises:
        InputError: a file that can't be read, by its path, or rows without pictures.
    """
    task = get_task(signature.task)
    if signature.image is None or signature.text is None or not isinstance(task, ImageTextSimilarity):
        raise SamplesError(f"samples {samples.path}: the model doesn't read pictures with texts")
    pictures = ImageEncoder(signature.image)
    inputs = inputs_fed_by("text", ("image", "text"), signature.inputs)
    encode = cache(TextEncoder(signature.text.tokenizer.encode("utf-8"), preprocess, inputs).encode)
    feeds, texts = [], list[EncodedText]()
    for row, text in zip(samples.rows, task.texts([str(row.text) for row in samples.rows]), strict=True):
        if row.file is None:
            raise SamplesError(f"samples {samples.path}: the model reads pictures, these rows have none")
        texts.append(encode(text))
        feeds.append({**pictures.encode(row.file).feeds, **texts[-1].feeds})
    targets = tuple(row.target for row in samples.rows) if samples.labelled else None
    return EncodedSamples(tuple(feeds), targets, samples.path, truncated=sum(text.truncated for text in texts))
