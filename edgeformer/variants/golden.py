"""golden.json: what a device compares an engine's first answers with, before it trusts the engine.

Most rows are made up: random tokens of several lengths. Evaluation and calibration rows are their owner's, often
confidential, and token ids beside a tokenizer are readable text; they never travel to devices. An engine that computes
wrongly does so on random tokens, too, and how far two right engines may differ on these very rows is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeformer_converters.base import converter_of
from edgeformer_runtime.bundle.golden import DATA_NAME, GOLDEN_NAME, MAX_BYTES, Golden, GoldenText, GoldenVariant
from edgeformer_runtime.bundle.manifest import VariantEntry
from edgeformer_runtime.preprocess.registry import inputs_fed_by
from edgeformer_runtime.preprocess.text import EncodedText, TextEncoder
from edgeformer_runtime.tasks import get_task
from edgeformer_runtime.variants.self_check import similarities

from ..data.encoded import EncodedSamples, Feeds
from ..data.encoding import device_preprocess, text_preprocess
from ..data.synthetic import random_tokens, synthetic
from ..errors import InputError
from ..model.base import Model
from ..recipe import Recipe
from ..stages import Stages, source_digest
from .export import Compressed, Exported
from .verification import Outputs, run_torch_as, run_variant

# Read by whoever checks preprocessing: plain, in other scripts and forms, and longer than most devices' shortest form.
TEXTS = (
    "The ferry leaves at nine.",
    "Zu\u0308rich, ΣΊΣΥΦΟΣ, 東京 🙂‍↔️: naïve ﬁ\u00adsh\u200b\ttab",
    "On Monday the river rose by two metres, and the mayor of Lindau closed the lower bridge until the evening. " * 3,
)
SHORT_TOKENS = 6
MOST_LENGTHS = 4
TENSOR_ROWS = 4
MAX_OUTPUT_BYTES = 256 << 10  # of one variant; fewer rows are kept where outputs are large
SEED = 20

# 1 - similarity that two right engines may differ by, at least: by the arithmetic that they share. Integer activations
# round differently from release to release (up to 0.12 of a logit between ONNX Runtime 1.24 and 1.31); Core ML and
# TensorRT compute in half precision what was executed here in single.
SINGLE, HALF, INTEGER = 1e-4, 5e-3, 1e-2
# What export and integers cost on these rows says how much rounding this model amplifies.
TIMES_THE_EXPORT = 3.0
MOST = 0.1


def write_golden(
    directory: Path,
    variants: Sequence[Exported],
    compressed: Mapping[str | None, Compressed],
    recipe: Recipe,
    stages: Stages,
) -> bool:
    """Write golden.json into a bundle being made; False, with a message, where the outputs are too large for one."""
    model = compressed[None].model
    made_up = golden_rows(model, recipe.export.sequence_lengths)
    read = golden_texts(model, max(recipe.export.sequence_lengths))
    rows = (*made_up, *({**made_up[0], **encoded.feeds} for _, encoded in read))  # a picture is the first row's
    answers = {item.entry.name: _answers(stages, item, compressed[item.granularity].model, rows) for item in variants}
    count = min(_rows_that_fit(outputs) for outputs, _, _ in answers.values())
    sources = (*(None for _ in made_up), *read)
    golden = Golden(
        rows=rows[:count],
        variants={
            item.entry.name: _golden_variant(model, item.entry, sources[:count], *answers[item.entry.name])
            for item in variants
        },
        texts=tuple(None if source is None else source[0] for source in sources[:count]),
    )
    content, data = golden.to_files()
    if max(len(content), len(data)) > MAX_BYTES:
        stages.progress(f"publish: no {GOLDEN_NAME}: one row's outputs are too large, so devices can't self-check")
        return False
    (directory / GOLDEN_NAME).write_bytes(content)
    (directory / DATA_NAME).write_bytes(data)
    return True


def golden_texts(model: Model, max_length: int) -> tuple[tuple[GoldenText, EncodedText], ...]:
    """Texts of ours with what the model's preprocessing makes of them: none of its owner's ever travel."""
    preprocess = text_preprocess(model.signature, max_length)
    if preprocess is None or model.tokenizer is None:
        return ()
    kinds = [item.kind for item in device_preprocess(model.signature, max_length)]
    inputs = inputs_fed_by("text", kinds, model.inputs)
    encoder = TextEncoder(model.tokenizer.encode("utf-8"), preprocess, inputs)
    second = None if preprocess.single else TEXTS[-1]
    encoded = [(GoldenText(text, second), _encoded(encoder, text, second)) for text in TEXTS]
    return tuple((text, row) for text, row in encoded if row is not None)


def _encoded(encoder: TextEncoder, text: str, second: str | None) -> EncodedText | None:
    """None for a text that gives no tokens, or can't be cut to fit."""
    try:
        return encoder.encode(text, second)
    except InputError:
        return None


def golden_rows(model: Model, sequence_lengths: Sequence[int]) -> tuple[Feeds, ...]:
    """Made-up rows: a short one, and one of three quarters of each static length, so that every length pads."""
    signature = model.signature
    if signature.input("tokens") is None:
        return synthetic(signature, 1, SEED, model.example_inputs).feeds[:TENSOR_ROWS]
    lengths = sorted(set(sequence_lengths))
    if len(lengths) > MOST_LENGTHS:
        lengths = [lengths[round(i * (len(lengths) - 1) / (MOST_LENGTHS - 1))] for i in range(MOST_LENGTHS)]
    wanted = sorted({min(SHORT_TOKENS, lengths[0]), *(max(1, 3 * length // 4) for length in lengths)})
    rng = np.random.default_rng(SEED)
    return tuple(random_tokens(signature, length, rng) for length in wanted)


def _answers(stages: Stages, item: Exported, model: Model, rows: tuple[Feeds, ...]) -> tuple[Outputs, str, float]:
    """A variant's outputs, what executed it, and the largest 1 - similarity with the torch model."""
    key = {
        "exported": item.directory.name,
        "rows": EncodedSamples(rows, None, "golden").digest(),
        "model": model.digest(),
        "source": [source_digest(name) for name in ("edgeformer", "edgeformer_runtime", "edgeformer_converters")],
    }

    def make(directory: Path) -> Mapping[str, Any]:
        outputs, executed_by, _ = run_variant(model.signature, item.entry, item.file, rows, threads=1)
        arrays = {f"{index}/{name}": array for index, row in enumerate(outputs) for name, array in row.items()}
        np.savez(directory / "outputs.npz", **arrays)  # type: ignore[arg-type]
        return {
            "executed_by": executed_by,
            "distance": 1 - min(similarities(outputs, run_torch_as(model, item.entry, rows))),
        }

    directory, result = stages.directory(f"golden rows {item.entry.name}", key, make)
    with np.load(directory / "outputs.npz") as arrays:
        names = [spec.name for spec in model.outputs]
        outputs = [{name: arrays[f"{index}/{name}"] for name in names} for index in range(len(rows))]
    return outputs, str(result["executed_by"]), float(result["distance"])


def _rows_that_fit(outputs: Outputs) -> int:
    """How many rows, the shortest first, stay within the limit; at least one."""
    sizes = np.cumsum([sum(array.nbytes for array in row.values()) for row in outputs])
    return max(1, int((sizes <= MAX_OUTPUT_BYTES).sum()))


def _golden_variant(
    model: Model,
    entry: VariantEntry,
    sources: Sequence[tuple[GoldenText, EncodedText] | None],
    outputs: Outputs,
    executed_by: str,
    distance: float,
) -> GoldenVariant:
    rows = tuple({name: array[None] for name, array in row.items()} for row in outputs[: len(sources)])
    task = get_task(model.task, model.outputs)
    predictions = tuple(
        None if source is None or "text" not in task.kinds else task.predict(row, source[1]).to_dict()
        for row, source in zip(rows, sources, strict=True)
    )
    return GoldenVariant(rows, needed_similarity(entry, distance), executed_by, predictions)


def needed_similarity(entry: VariantEntry, distance: float) -> float:
    """What another engine must reach on every golden row of a variant that is ``distance`` from torch on them."""
    converter = converter_of(entry)
    least = HALF if converter.half_precision else SINGLE
    if converter.integer_activations and entry.weight_formats:
        least = max(least, INTEGER)
    return round(1 - min(MOST, max(least, TIMES_THE_EXPORT * distance)), 6)
