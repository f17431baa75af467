"""From samples to the arrays that a model takes, one row at a time, by the same code that runs on the device.

Rows are never batched here: an engine that quantizes activations at run time shares one scale among all rows of a
batch, so unrelated rows would change each other's results.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeformer_runtime.preprocess.text import EncodedText, TextEncoder, TextPreprocess
from edgeformer_runtime.tasks import TASKS as TASKS_ON_DEVICES

from ..errors import ModelError
from ..model.base import Model
from ..rows.samples import Samples
from ..tasks import get_task

Feeds = Mapping[str, NDArray[np.int64]]
SYNTHETIC_ROWS = 32


@dataclass(frozen=True)
class EncodedSamples:
    """Rows ready to run. ``targets`` is None when the rows are unlabelled or made up.

    For pairs with a similarity score (feature extraction) each row gives two entries of ``feeds``, one after the other.
    """

    feeds: tuple[Feeds, ...]
    targets: tuple[Any, ...] | None
    source: str  # for the report: the file, or how the rows were made
    truncated: int = 0
    similarity_pairs: bool = False
    made_up: bool = False  # random rows: good for comparing numerics, no base for a choice

    def digest(self) -> str:
        """SHA-256 over every array of every row, and the targets."""
        digest = hashlib.sha256()
        for row in self.feeds:
            for name in sorted(row):
                digest.update(f"{name} {row[name].dtype} {row[name].shape}".encode())
                digest.update(np.ascontiguousarray(row[name]).data)
        digest.update(repr(self.targets).encode())
        return digest.hexdigest()


def text_preprocess(model: Model, max_length: int) -> TextPreprocess | None:
    """What the bundle says of its tokenizer; None for a model without one."""
    if model.tokenizer is None:
        return None
    longest = min(max_length, model.text_length or max_length)
    task = TASKS_ON_DEVICES[model.task.name]
    return TextPreprocess(
        "preprocess/tokenizer.json",
        longest,
        model.pad_token_id,
        model.pairs or task.pairs_only,
        model.truncation,
        model.prompts,
        model.default_prompt,
        single=not task.pairs_only,
        cut=task.cut,
    )


def encode(model: Model, samples: Samples, max_length: int) -> EncodedSamples:
    """Tokenize ``samples``, cut to ``max_length`` tokens; raises SamplesError for a row that the task can't use."""
    preprocess = text_preprocess(model, max_length)
    if preprocess is None or model.tokenizer is None:
        raise ModelError(f"model {model.name}: has no tokenizer, so text samples can't be used with it")
    encoder = TextEncoder(model.tokenizer.encode("utf-8"), preprocess, model.inputs)
    return _encode_rows(encoder, model, samples)


def _encode_rows(encoder: TextEncoder, model: Model, samples: Samples) -> EncodedSamples:
    task = get_task(model.task)
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
        similarity_pairs=similarity,
    )


def synthetic(model: Model, max_length: int, seed: int = 0) -> EncodedSamples:
    """Made-up rows for comparing numerics when no data was given: they say nothing about accuracy."""
    rng = np.random.default_rng(seed)
    if not model.reads_text:
        feeds = [_random_tensors(model, rng) for _ in range(SYNTHETIC_ROWS)]
        return EncodedSamples(tuple(feeds), None, f"{SYNTHETIC_ROWS} rows of random tensors", made_up=True)
    vocabulary = int(getattr(model.module.config, "vocab_size", 1000))
    rows = []
    for _ in range(SYNTHETIC_ROWS):
        length = int(rng.integers(2, max_length + 1))
        ids = rng.integers(0, vocabulary, (1, length), dtype=np.int64)
        ids[ids == model.pad_token_id] = min(model.pad_token_id + 1, vocabulary - 1)
        row = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        rows.append({spec.name: row[spec.name] for spec in model.inputs})
    return EncodedSamples(tuple(rows), None, f"{SYNTHETIC_ROWS} rows of random tokens", made_up=True)


def _random_tensors(model: Model, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    feeds: dict[str, NDArray[Any]] = {}
    for spec, example in zip(model.inputs, model.example_inputs, strict=True):
        array = example[:1].numpy()
        if array.dtype.kind == "f":
            scale = float(np.abs(array).max()) or 1.0
            feeds[spec.name] = (rng.standard_normal(array.shape) * scale / 3).astype(array.dtype)
        else:
            feeds[spec.name] = rng.integers(array.min(), array.max() + 1, array.shape, dtype=array.dtype)
    return feeds
