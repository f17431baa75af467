"""In which form a family takes its mask: tried once, when a model is loaded, against the family's own forward.

The mask is made in front of the model, since no exporter follows every family's mask code. A family with full attention
takes an additive mask of its keys as it is, a causal one a mask with a triangle. A family that makes something else of
a 0/1 mask (a window, a pairwise mask, zeroed embeddings) gets the 0/1 mask, and its own code stays in the graph.
"""

from __future__ import annotations

import dataclasses

import torch

from .errors import ModelError
from .model import Model
from .tasks import MASK_FORMS, MaskForm, TaskModule

# longer than the windows of the families that have one (ModernBERT: 128)
_TOKENS = 320
_TOLERANCE = 1e-4  # of the largest output: float32 rounding stays far below
Outputs = tuple[torch.Tensor, ...]


def own_outputs(model: Model) -> Outputs:
    """The task's outputs from the family's own forward with a 0/1 mask.

    Raises:
        ModelError: the family's forward fails on token ids and a mask alone.
    """
    module = model.callable_module()
    if not isinstance(module, TaskModule):
        raise ModelError(f"model {model.name}: a model of plain tensors has no mask")
    feeds = _feeds(model)
    try:
        with torch.inference_mode():
            return module.outputs(model.module(**feeds, return_dict=True), feeds["attention_mask"])
    except Exception as error:  # a family's code raises whatever a missing input happens to hit
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(
            f"model {model.name}: the family {model.architecture!r} doesn't run on {', '.join(feeds)} alone, which is "
            f"what a text gives: its forward says {first[:200]!r}"
        ) from error


def with_mask(model: Model, expected: Outputs) -> Model:
    """``model`` with the first form of mask with which it gives ``expected``, what its own forward gave.

    Raises:
        ModelError: there is none.
    """
    feeds = _feeds(model)
    real = feeds["attention_mask"].bool()
    said = ""
    for form in MASK_FORMS:
        tried = dataclasses.replace(model, options=dataclasses.replace(model.options, mask=form))
        said = _difference(tried, form, feeds, expected, real)
        if not said:
            return tried
    raise ModelError(
        f"model {model.name}: the family {model.architecture!r} gives something else as it is compiled than by its own "
        f"forward: {said}. Please report it with the model's config.json"
    )


def _difference(
    model: Model, form: MaskForm, feeds: dict[str, torch.Tensor], expected: Outputs, real: torch.Tensor
) -> str:
    """What is wrong with the outputs, "" where nothing is."""
    try:
        with torch.inference_mode():
            ours = model.callable_module()(*feeds.values())
    except Exception as error:  # not the form that this family takes
        return f"mask {form!r}: {type(error).__name__}"
    for spec, a, b in zip(model.outputs, ours, expected, strict=True):
        if a.shape != b.shape:
            return f"mask {form!r}: {spec.name} of shape {tuple(a.shape)}, expected {tuple(b.shape)}"
        if a.shape[:2] == real.shape:
            a, b = a[real], b[real]  # what is said of padding is nobody's business
        largest = float(b.abs().max())
        difference = float((a - b).abs().max())
        if not difference <= _TOLERANCE * max(largest, 1e-6):
            return f"mask {form!r}: {spec.name} differs by {difference:.3g} (largest {largest:.3g})"
    return ""


def _feeds(model: Model) -> dict[str, torch.Tensor]:
    """Two rows of random tokens, the second with padding."""
    length = min(_TOKENS, model.max_length or _TOKENS)
    vocabulary = int(getattr(model.module.config, "vocab_size", 1000))
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (2, length), generator=generator)
    ids[ids == model.pad_token_id] = (model.pad_token_id + 1) % vocabulary
    mask = torch.ones_like(ids)
    mask[1, length - length // 3 :] = 0
    ids[mask == 0] = model.pad_token_id
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return {spec.name: feeds[spec.name] for spec in model.inputs}
