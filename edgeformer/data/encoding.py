"""From samples to the arrays that a model takes, one row at a time, by the same code that runs on the device.

Rows are never batched here: an engine that quantizes activations at run time shares one scale among all rows of a
batch, so unrelated rows would change each other's results.
"""

from __future__ import annotations

from typing import Any

from edgeformer_runtime.preprocess.audio import AudioPreprocess
from edgeformer_runtime.preprocess.image_preprocess import ImagePreprocess
from edgeformer_runtime.preprocess.registry import Preprocess
from edgeformer_runtime.preprocess.text import EncodedText, TextEncoder, TextPreprocess
from edgeformer_runtime.tasks import TASKS as TASKS_ON_DEVICES

from ..errors import ModelError
from ..model.signature import Signature, TextInput
from ..rows.samples import Samples
from ..tasks import get_task
from .encoded import EncodedSamples
from .encoding_files import encode_files
from .encoding_image_text import encode_image_text


def text_preprocess(signature: Signature, max_length: int) -> TextPreprocess | None:
    """What the bundle says of its tokenizer; None for a model without one."""
    text = signature.text
    if text is None:
        return None
    task = TASKS_ON_DEVICES[signature.task.name]
    return TextPreprocess(
        "preprocess/tokenizer.json",
        text.max_length if text.pad_to_max and text.max_length else min(max_length, text.max_length or max_length),
        signature.pad_token_id,
        text.pairs or task.pairs_only,
        text.truncation,
        text.prompts,
        text.default_prompt,
        single=not task.pairs_only,
        cut=task.cut,
        pad_to_max=text.pad_to_max,
    )


def device_preprocess(signature: Signature, max_length: int) -> tuple[Preprocess, ...]:
    """What the bundle says of how rows become inputs; () where only arrays go in."""
    text = text_preprocess(signature, max_length)
    made = (text if isinstance(item, TextInput) else item for item in signature.preprocess)
    return tuple(item for item in made if item is not None)


def encode(signature: Signature, samples: Samples, max_length: int) -> EncodedSamples:
    """The rows as arrays: texts cut to ``max_length`` tokens, pictures and sounds as their processor says.

    Raises:
        InputError: a row that the task can't use, by its place or file.
    """
    text = text_preprocess(signature, max_length)
    if text is not None and signature.image is not None:
        return encode_image_text(signature, text, samples)
    for preprocess in signature.preprocess:
        if isinstance(preprocess, ImagePreprocess | AudioPreprocess):
            return encode_files(preprocess, samples)
    return _encode_texts(signature, samples, text)


def _encode_texts(signature: Signature, samples: Samples, preprocess: TextPreprocess | None) -> EncodedSamples:
    if preprocess is None or signature.text is None:
        raise ModelError(f"samples {samples.path}: the model has no tokenizer, so texts can't be used with it")
    encoder = TextEncoder(signature.text.tokenizer.encode("utf-8"), preprocess, signature.inputs)
    task = get_task(signature.task)
    similarity = task.pools and samples.pair
    encoded: list[EncodedText] = []
    targets: list[Any] = []
    for row in samples.rows:
        text = row.text if isinstance(row.text, str) else " ".join(row.text)
        if similarity:
            encoded += [encoder.encode(text), encoder.encode(row.text_pair or "")]
        else:
            encoded.append(encoder.encode(text, row.text_pair))
        known = row.target is not None
        targets.append(task.target(row.target, row.text, row.text_pair, encoded[-1]) if known else None)
    labelled = all(target is not None for target in targets)
    return EncodedSamples(
        feeds=tuple(item.feeds for item in encoded),
        targets=tuple(targets) if labelled else None,
        source=samples.path,
        truncated=sum(item.truncated for item in encoded),
    )
