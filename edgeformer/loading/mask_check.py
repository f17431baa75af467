"""In which form a family takes its mask: tried once, when a model is loaded, against the family's own forward.

The mask is made in front of the model, since no exporter follows every family's mask code. A family with full attention
takes an additive mask of its keys as it is, a causal one a mask with a triangle. A family that makes something else of
a 0/1 mask (a window, a pairwise mask, zeroed embeddings) gets the 0/1 mask, and its own code stays in the graph.

What is right is what the family says of each text alone, without padding: files of fixed lengths, and batches, pad.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from ..data.batching import BatchOutputs
from ..errors import ModelError
from ..model.base import Model
from ..tasks.masks import MASK_FORMS, MaskForm
from ..tasks.module import TaskModule

# longer than the windows of the families that have one (ModernBERT: 128)
_TOKENS = 320
_TOLERANCE = 1e-4  # of the largest output: float32 rounding stays far below
Feeds = dict[str, torch.Tensor]


@dataclass(frozen=True)
class OwnForward:
    """A family's own outputs: ``alone`` for each row without padding, ``padding`` what padding does to them."""

    alone: tuple[BatchOutputs, ...]
    padding: str  # "" where a padded batch gives the same


def own_forward(model: Model) -> OwnForward:
    """The outputs of the family's own forward with a 0/1 mask, before anything in it is written otherwise.

    Raises:
        ModelError: the family's forward fails on token ids and a mask alone.
    """
    feeds = _feeds(model)
    lengths = [int(length) for length in feeds["attention_mask"].sum(1)]
    rows = [
        {name: value[row : row + 1, :length] for name, value in feeds.items()} for row, length in enumerate(lengths)
    ]
    try:
        alone = tuple(_own(model, row) for row in rows)
    except Exception as error:  # a family's code raises whatever a missing input happens to hit
        raise ModelError(
            f"model {model.name}: the family {model.architecture!r} doesn't run on {', '.join(feeds)} alone, which is "
            f"what a text gives: its forward says {_first_line(error)}"
        ) from error
    try:
        padding = _difference(model, _own(model, feeds), alone, lengths)
    except Exception as error:
        padding = f"fails on a padded batch: {_first_line(error)}"
    return OwnForward(alone, padding)


def with_mask(model: Model, own: OwnForward) -> Model:
    """``model`` with the first form of mask with which it gives what its own forward gave.

    Raises:
        ModelError: there is none; the message says whether the family's own forward can do better.
    """
    feeds = _feeds(model)
    lengths = [int(length) for length in feeds["attention_mask"].sum(1)]
    said = ""
    for form in MASK_FORMS:
        tried = dataclasses.replace(model, options=dataclasses.replace(model.options, mask=form))
        said = _tried(tried, form, feeds, own, lengths)
        if not said:
            return tried
    if own.padding:
        raise ModelError(
            f"model {model.name}: the family {model.architecture!r} {own.padding}. Texts are padded to a variant's "
            "lengths and in batches, so their results would depend on it: not supported"
        )
    raise ModelError(
        f"model {model.name}: the family {model.architecture!r} gives something else as it is compiled than by its own "
        f"forward: {said}. Please report it with the model's config.json"
    )


def _own(model: Model, feeds: Feeds) -> BatchOutputs:
    module = model.callable_module()
    if not isinstance(module, TaskModule):
        raise ModelError(f"model {model.name}: a model of plain tensors has no mask")
    with torch.inference_mode():
        return module.outputs(model.module(**feeds, return_dict=True), feeds["attention_mask"])


def _tried(model: Model, form: MaskForm, feeds: Feeds, own: OwnForward, lengths: list[int]) -> str:
    """What is wrong with the outputs under a form of mask, "" where nothing is."""
    try:
        with torch.inference_mode():
            ours = model.callable_module()(*feeds.values())
    except Exception as error:  # not the form that this family takes
        return f"mask {form!r}: {_first_line(error)}"
    said = _difference(model, ours, own.alone, lengths)
    return said and f"mask {form!r}: {said}"


def _difference(model: Model, padded: BatchOutputs, alone: tuple[BatchOutputs, ...], lengths: list[int]) -> str:
    """How the outputs of the padded batch differ from those of each row alone; "" for rounding."""
    longest = max(lengths)
    for index, (spec, batch) in enumerate(zip(model.outputs, padded, strict=True)):
        largest = max(float(row[index].abs().max()) for row in alone)  # one row's logits may happen to be near zero
        for row, length in enumerate(lengths):
            b = alone[row][index][0]
            a = batch[row, :length] if spec.shape[1] == "sequence" else batch[row]
            if a.shape != b.shape:
                return f"gives {spec.name} of shape {tuple(a.shape)} in a batch, {tuple(b.shape)} alone"
            difference = float((a - b).abs().max())
            if not difference <= _TOLERANCE * max(largest, 1e-6):
                where = "with padding beside a text" if length < longest else "in a batch"
                return f"gives other {spec.name} {where} ({difference:.3g} off, the largest value is {largest:.3g})"
    return ""


def _first_line(error: Exception) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return repr(f"{type(error).__name__}: {next((line for line in lines if line), '')}"[:240])


def _feeds(model: Model) -> Feeds:
    """Two rows of random tokens, the second with padding: as a text is, without special tokens but an end."""
    length = min(_TOKENS, model.max_length or _TOKENS)
    config = model.module.config.get_text_config()  # type: ignore[operator, union-attr]
    vocabulary = int(getattr(config, "vocab_size", None) or 1000)
    end = getattr(config, "eos_token_id", None)
    ids = torch.randint(0, vocabulary, (2, length), generator=torch.Generator().manual_seed(0))
    special = {value for name, value in config.to_dict().items() if name.endswith("_token_id") and type(value) is int}
    plain = next((index for index in range(vocabulary) if index not in special | {model.signature.pad_token_id}), 0)
    for index in special | {model.signature.pad_token_id}:
        ids[ids == index] = plain
    mask = torch.ones_like(ids)
    mask[1, length - length // 3 :] = 0
    if type(end) is int and 0 <= end < vocabulary:
        ids[torch.arange(2), mask.sum(1) - 1] = end
    ids[mask == 0] = model.signature.pad_token_id
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return {spec.name: feeds[spec.name] for spec in model.inputs}
