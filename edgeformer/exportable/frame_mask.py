"""wav2vec2 and its kin: which frames a sound's samples reach, and what an encoder does with those that they don't.

transformers puts a 1 at each row's last frame and sums from behind, gathers the mask of pairs of frames, and writes
zeros through masks: operators that not every engine has. Here frames are compared with a row's number of them, encoders
add a mask of keys, and padding is multiplied by 0.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput

from ..tasks.masks import additive_mask

_FRAME_MASK = "_get_feature_vector_attention_mask"
# those with one forward in common; the others' stays, with a mask of pairs, which Core ML doesn't get
_ENCODERS = frozenset(
    f"{family}{encoder}"
    for family in ("Hubert", "UniSpeech", "UniSpeechSat", "Wav2Vec2")
    for encoder in ("Encoder", "EncoderStableLayerNorm")
)


def make_exportable(module: torch.nn.Module) -> None:
    """Give what makes or uses a mask of frames in ``module`` another way to the same values."""
    for part in module.modules():
        # attributes of an instance: transformers looks up by class which hidden states a model can return
        if hasattr(type(part), _FRAME_MASK):
            part.__dict__[_FRAME_MASK] = MethodType(_frame_mask, part)
        if type(part).__name__ in _ENCODERS:
            part.__dict__["forward"] = MethodType(_encode, part)
        if type(part).__name__.endswith("ForSequenceClassification"):
            part.__dict__["forward"] = MethodType(_classify, part)


def _frame_mask(self: Any, frames: int, attention_mask: torch.Tensor, **more: Any) -> torch.Tensor:
    """0/1 [B, samples] to bool [B, frames]; a row has at least one frame."""
    lengths = self._get_feat_extract_output_lengths(attention_mask.sum(-1), **more).to(torch.long)
    places = torch.arange(frames, device=attention_mask.device)
    return torch.logical_or(places[None, :] < lengths[:, None], places[None, :] == 0)


def _encode(
    self: Any, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **more: Any
) -> BaseModelOutput:
    """float [B, F, E] and bool [B, F] to hidden states [B, F, E]; layers aren't dropped in training."""
    hidden = hidden_states
    if attention_mask is not None:
        hidden = hidden * attention_mask[:, :, None].to(hidden.dtype)
        attention_mask = additive_mask(attention_mask)
    hidden = hidden + self.pos_conv_embed(hidden)
    norm_last = type(self).__name__.endswith("StableLayerNorm")
    hidden = self.dropout(hidden if norm_last else self.layer_norm(hidden))
    for layer in self.layers:
        result = layer(hidden, attention_mask=attention_mask, **more)
        hidden = result[0] if isinstance(result, tuple) else result  # a tuple in early releases of transformers 5
    return BaseModelOutput(last_hidden_state=self.layer_norm(hidden) if norm_last else hidden)


def _classify(
    self: Any, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None, **more: Any
) -> SequenceClassifierOutput:
    """float [B, samples] and 0/1 [B, samples] to logits [B, labels]: the mean of each row's frames, classified."""
    weighted = self.config.use_weighted_layer_sum
    result = self.base_model(
        input_values, attention_mask=attention_mask, **{**more, **({"output_hidden_states": True} if weighted else {})}
    )
    hidden = result.last_hidden_state
    if weighted:
        weights = self.layer_weights.softmax(dim=-1)
        hidden = (torch.stack(result.hidden_states, dim=1) * weights[:, None, None]).sum(dim=1)
    hidden = self.projector(hidden)
    if attention_mask is None:
        pooled = hidden.mean(dim=1)
    else:
        counts = getattr(self, _FRAME_MASK)(hidden.shape[1], attention_mask)[:, :, None].to(hidden.dtype)
        pooled = (hidden * counts).sum(dim=1) / counts.sum(dim=1)
    return SequenceClassifierOutput(
        logits=self.classifier(pooled), hidden_states=result.hidden_states, attentions=result.attentions
    )
