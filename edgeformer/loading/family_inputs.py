"""Families that read more than a text, or whose code can't run here, although their forward takes token ids alone.

transformers fills in zeros for what isn't given (the box of each token, the row and column of a table), so such a model
would load, agree with itself, and mean nothing.
"""

from __future__ import annotations

import inspect

import torch

from ..errors import ModelError

_BOXES = "the place of each token on its page (bbox)"
# a parameter of the family's forward → what it is
_NEEDED: dict[str, str] = {
    "bbox": _BOXES,
    "xpath_tags_seq": "the place of each token in a document's markup (xpath_tags_seq)",
    "input_shape_ids": "the shape and the pronunciation of each token (input_shape_ids, input_pronunciation_ids)",
}
# model_type → why not
_CAUSES: dict[str, str] = {
    "mra": "computes its attention in a CUDA kernel; without it transformers gives zeros instead of attention",
    "reformer": "chooses what attends to what by random hashes, so one text has many results",
    "tapas": "needs the row and the column of each token in a table (seven token types), which a text doesn't have",
}


def check_inputs(module: torch.nn.Module, name: str, family: str) -> None:
    """Raise ModelError, with the cause, for a family whose results on texts alone would mean nothing."""
    cause = _CAUSES.get(family)
    if cause is None:
        parameters = inspect.signature(module.forward).parameters
        needed = next((what for parameter, what in _NEEDED.items() if parameter in parameters), None)
        cause = needed and f"needs {needed}, which a text doesn't have"
    if cause is None and family == "yoso" and not module.config.use_expectation:  # type: ignore[union-attr]
        cause = "with use_expectation = false computes its attention by random hashes in a CUDA kernel"
    if cause:
        raise ModelError(f"model {name}: the family {family!r} {cause}: not supported")
