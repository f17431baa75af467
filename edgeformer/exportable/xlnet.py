"""XLNet: its classifier reads the last position, which is a text's last token only where padding stands left.

Here it reads the last position that the mask counts. With relative positions alone that is the same number wherever the
padding stands.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.xlnet.modeling_xlnet import XLNetForSequenceClassification

from ..errors import ModelError
from .gather import at_position, last_position


def make_exportable(module: Any) -> None:
    """Give XLNet's sequence classifier the rule above; its other heads stay as they are."""
    if type(module) is not XLNetForSequenceClassification:
        return
    kind = module.config.summary_type
    if kind != "last":
        raise ModelError(f"xlnet: summary_type {kind!r}: expected 'last', which published classifiers have")
    module.__class__ = _AtLastToken


class _AtLastToken(XLNetForSequenceClassification):  # type: ignore[misc]
    """The same classifier, for padding at either side."""

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """int64 [B, S] and 0/1 [B, S] to logits [B, labels]."""
        hidden = self.transformer(
            # 1 − mask of integers has no form in ONNX's exporter
            input_ids,
            attention_mask=attention_mask.float(),
            token_type_ids=token_type_ids,
            use_mems=False,
        )[0]
        last = at_position(hidden, last_position(attention_mask))
        return SequenceClassifierOutput(logits=self.logits_proj(self.sequence_summary(last[:, None])))
