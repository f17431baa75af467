"""Longformer (Beltagy et al. 2020): windows of ``attention_window`` / 2 a side; globals have projections of their own.

Exact for the tasks whose globals are known before an input is: [CLS] in text classification, none in token
classification and feature extraction. Question answering makes every question token global, which depends on the
input, so it is refused.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.models.longformer.modeling_longformer import LongformerModel, LongformerSelfAttention

from edgeformer_converters.ops import LocalAttention, LocalPattern

from ..errors import ModelError
from .registry import LAYER, kept_keys

# what transformers' head of each task makes global when it is told nothing
_GLOBALS = {"text-classification": (0,), "token-classification": (), "feature-extraction": ()}


def make_local(module: torch.nn.Module, task: str) -> dict[str, str]:
    """Replace each layer's attention, and the encoder's padding to whole windows, in place."""
    if task not in _GLOBALS:
        raise ModelError(
            f"Longformer for {task}: its global tokens (all of the question) differ from input to input, and "
            f"LocalAttention has fixed ones. Possible are {', '.join(_GLOBALS)}"
        )
    made: dict[str, str] = {}
    for path, part in list(module.named_modules()):
        if isinstance(part, LongformerSelfAttention):
            local = _SelfAttention(part, _GLOBALS[task])
            parent, _, leaf = path.rpartition(".")
            setattr(module.get_submodule(parent), leaf, local)
            made[path] = str(getattr(local, LAYER).pattern)
        if isinstance(part, LongformerModel):
            part.__class__ = _Encoder
    return made


class _SelfAttention(torch.nn.Module):
    """LongformerSelfAttention with the layers' names kept, without padding and without transformers' chunks.

    A global query reads all keys by the projections ``*_global``; all others read the global keys by the ordinary ones.
    """

    def __init__(self, old: Any, global_tokens: tuple[int, ...]) -> None:
        super().__init__()
        self.num_heads, self.head_dim = old.num_heads, old.head_dim
        self.query, self.key, self.value = old.query, old.key, old.value
        self.has_globals = bool(global_tokens)
        # kept without globals too: the weights are in the user's file
        self.query_global, self.key_global, self.value_global = old.query_global, old.key_global, old.value_global
        pattern = LocalPattern.radius(int(old.one_sided_attn_window_size), global_tokens=global_tokens)
        layer = LocalAttention(
            pattern,
            heads=self.num_heads,
            kv_heads=self.num_heads,
            head_dim=self.head_dim,
            scale=self.head_dim**-0.5,
        )
        self.add_module(LAYER, layer)
        self.train(old.training)

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        """float [B, S, hidden] and the additive mask [B, 1, 1, S] to ([B, S, hidden],)."""
        layer: LocalAttention = getattr(self, LAYER)
        query, key, value = (self._heads(part(hidden_states)) for part in (self.query, self.key, self.value))
        output = layer(query, key, value, kept_keys(attention_mask))
        if self.has_globals:
            # [CLS] is the only global: one row, by its own projections, in place of the layer's
            first = self._heads(self.query_global(hidden_states[:, :1]))
            scores = first @ self._heads(self.key_global(hidden_states)).transpose(-1, -2) * layer.scale
            weights = torch.softmax(scores + attention_mask, dim=-1)
            row = weights @ self._heads(self.value_global(hidden_states))
            output = torch.cat([row, output[:, :, 1:]], dim=2)
        return (output.transpose(1, 2).reshape(hidden_states.shape),)

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)


class _Encoder(LongformerModel):  # type: ignore[misc]
    """LongformerModel that takes an additive mask [B, 1, 1, S] and inputs of any length."""

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        **_: Any,
    ) -> Any:
        """int [B, S] to transformers' output object; a mask of the heads for globals is not needed."""
        from transformers.models.longformer.modeling_longformer import LongformerBaseModelOutputWithPooling

        kept_keys(attention_mask)  # raises for a mask of another shape
        hidden = self.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        for layer in self.encoder.layer:
            hidden = layer(hidden, attention_mask=attention_mask)[0]
        pooled = None if self.pooler is None else self.pooler(hidden)
        return LongformerBaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)
