"""Classifiers that read the decoder's state at a text's last end token: BART and its children, T5 and its.

transformers selects the end tokens by a boolean mask, whose number depends on the values: no graph has that.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.modeling_outputs import SequenceClassifierOutput

from .gather import at_position, last_position


def make_exportable(module: torch.nn.Module) -> None:
    """Give a sequence classifier of these families a forward without boolean selection; others stay as they are."""
    kind = type(module)
    if not kind.__name__.endswith("ForSequenceClassification"):
        return
    if kind not in _CLASSES:
        _CLASSES[kind] = type(f"EndToken{kind.__name__}", (_AtEndToken, kind), {})
    module.__class__ = _CLASSES[kind]


class _AtEndToken(torch.nn.Module):
    """The forward of all of them."""

    config: Any
    classification_head: torch.nn.Module

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> SequenceClassifierOutput:
        """int64 [B, S] and 0/1 [B, S] to logits [B, labels]."""
        more: dict[str, Any] = {}
        shift: Any = getattr(self, "_shift_right", None)
        if shift is not None:  # T5's kind doesn't shift inside of its model
            more["decoder_input_ids"] = shift(input_ids)
        body: Any = self.transformer if hasattr(self, "transformer") else self.model
        hidden = body(input_ids, attention_mask=attention_mask, use_cache=False, **more)[0]
        end = last_position(input_ids == self.config.eos_token_id)
        return SequenceClassifierOutput(logits=self.classification_head(at_position(hidden, end)))


_CLASSES: dict[type, type] = {}
