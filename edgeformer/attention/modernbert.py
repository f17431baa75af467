"""ModernBERT (Warner et al. 2024): every third layer is global, the others see ``local_attention`` / 2 keys a side."""

from __future__ import annotations

from typing import Any

import torch
from transformers.models.modernbert.modeling_modernbert import ModernBertAttention, ModernBertForSequenceClassification

from edgeformer_converters.ops import LocalAttention, LocalPattern

from ..errors import ModelError
from .registry import install, kept_keys


def make_local(module: torch.nn.Module, task: str) -> dict[str, str]:
    """Give every sliding layer of ``module`` its window, in place."""
    layers: dict[str, LocalAttention] = {}
    for path, part in module.named_modules():
        # transformers keeps the window one wider than the radius, for flash attention's half-open interval
        if isinstance(part, ModernBertAttention) and part.sliding_window is not None:
            heads = part.Wqkv.out_features // (3 * part.head_dim)
            pattern = LocalPattern.radius(int(part.sliding_window) - 1)
            layers[path] = LocalAttention(
                pattern, heads=heads, kv_heads=heads, head_dim=part.head_dim, scale=part.head_dim**-0.5
            )
    install(module, layers)
    if isinstance(module, ModernBertForSequenceClassification) and module.config.classifier_pooling == "mean":
        if type(module) is not ModernBertForSequenceClassification:
            raise ModelError(f"{type(module).__name__}: its mean pooling is not known here")
        module.__class__ = _MeanPooled
    return {path: str(layer.pattern) for path, layer in layers.items()}


class _MeanPooled(ModernBertForSequenceClassification):  # type: ignore[misc]
    """The same classifier, which also pools rightly with an additive mask [B, 1, 1, S]."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Any) -> Any:
        from transformers.modeling_outputs import SequenceClassifierOutput

        if attention_mask is None or attention_mask.dim() != 4:
            return super().forward(input_ids=input_ids, attention_mask=attention_mask, **kwargs)
        kwargs.pop("return_dict", None)
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask, **kwargs)[0]
        keep: Any = kept_keys(attention_mask)
        weights = keep[:, :, None].to(hidden.dtype)
        pooled = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        return SequenceClassifierOutput(logits=self.classifier(self.drop(self.head(pooled))))
