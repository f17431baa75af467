"""DeBERTa (He et al. 2021, arXiv 2006.03654), versions 1 to 3: disentangled attention that every exporter takes.

A score is content·content + content·position (c2p) + position·content (p2c), eq. 4. transformers computes the position
of every pair of tokens and gathers the last two by it. Here each is one product with 2·S position rows, in the order of
the relative position, which a pad-free shift (Transformer-XL, appendix B) brings to [S, S]: slices and reshapes alone.
Which row belongs to a relative position (log buckets of versions 2 and 3) is a table of integers made by transformers'
own functions when the model is loaded, so that no exporter or half precision can round a bucket otherwise.

Legend: B batch, S sequence, H heads, d values a head, P rows of the position table, E hidden width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.models.deberta import modeling_deberta as v1
from transformers.models.deberta_v2 import modeling_deberta_v2 as v2

from ..errors import ModelError
from ..tasks.masks import additive_mask


def make_exportable(module: torch.nn.Module) -> None:
    """Rewrite, in place and with equal values, every part of a DeBERTa that no exporter can follow."""
    for part in module.modules():
        replacement = _REPLACEMENTS.get(type(part))
        if replacement is not None:
            part.__class__ = replacement
        if isinstance(part, _Encoder) and part.relative_attention:
            part.register_buffer("position_rows", _position_rows(part, module.config), persistent=False)
            part.register_buffer("table_rows", torch.arange(part.rel_embeddings.num_embeddings), persistent=False)


def _position_rows(encoder: Any, config: Any) -> torch.Tensor:
    """int64 [2, 2·L + 1]: the row of the position table for each relative position L … −L and −L … L; L the longest
    sequence.
    """
    longest = int(config.max_position_embeddings)
    span = encoder.rel_embeddings.num_embeddings // 2
    relative = torch.arange(-longest, longest + 1)
    buckets = int(getattr(encoder, "position_buckets", -1))
    if buckets > 0:
        relative = v2.make_log_bucket_position(relative, buckets, encoder.max_relative_positions).to(torch.long)
    rows = (relative + span).clamp(0, 2 * span - 1)
    return torch.stack([rows.flip(0), rows])


class _Encoder(torch.nn.Module):
    """What both encoders share: the mask and the position rows that their layers get."""

    position_rows: torch.Tensor  # by relative position, see _position_rows
    table_rows: torch.Tensor  # int64 [P]: 0, 1, …
    relative_attention: bool
    rel_embeddings: Any  # an embedding, float or quantized
    LayerNorm: torch.nn.Module

    def get_attention_mask(self, attention_mask: torch.Tensor) -> torch.Tensor:
        """0/1 [B, S] to the additive mask of the keys [B, 1, 1, S]; what padded queries see is nobody's business."""
        return additive_mask(attention_mask)

    def get_rel_embedding(self) -> torch.Tensor | None:
        """The position table [P, E], looked up, since its layer may be quantized; normalized where the config says."""
        if not self.relative_attention:
            return None
        found: torch.Tensor = self.rel_embeddings(self.table_rows)
        return self.LayerNorm(found) if "layer_norm" in getattr(self, "norm_rel_ebd", ()) else found

    def get_rel_pos(self, hidden_states: torch.Tensor, *_: Any) -> torch.Tensor | None:
        """int64 [2, 2·S]: rows of the position table for query − key = S … 1−S (c2p) and −S … S−1 (p2c)."""
        if not self.relative_attention:
            return None
        length = hidden_states.shape[1]
        middle = self.position_rows.shape[1] // 2
        return self.position_rows[:, middle - length : middle + length]


class _EncoderV1(_Encoder, v1.DebertaEncoder):  # type: ignore[misc]
    """DebertaEncoder with the mask and rows of ``_Encoder``."""


class _EncoderV2(_Encoder, v2.DebertaV2Encoder):  # type: ignore[misc]
    """DebertaV2Encoder with the mask and rows of ``_Encoder``."""


class _AttentionV1(v1.DisentangledSelfAttention):  # type: ignore[misc]
    """Version 1: query, key and value in one linear, head by head; biases of query and value apart."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor,
        output_attentions: bool = False,
        query_states: torch.Tensor | None = None,
        relative_pos: torch.Tensor | None = None,
        rel_embeddings: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[B, S, E] to [B, S, H·d]."""
        _refuse_queries(query_states)
        heads = self.num_attention_heads
        query, key, value = _heads(self.in_proj(hidden_states), heads).chunk(3, dim=-1)
        scale = (query.shape[-1] * (1 + len(self.pos_att_type))) ** -0.5
        query = (query + _heads(self.q_bias[None, None, :], heads)) * scale
        value = value + _heads(self.v_bias[None, None, :], heads)
        scores = query @ key.transpose(-1, -2)
        if self.relative_attention and rel_embeddings is not None and relative_pos is not None:
            if "c2p" in self.pos_att_type:
                scores = scores + _content_to_position(
                    query, _projected(self.pos_proj, rel_embeddings, relative_pos[0], heads)
                )
            if "p2c" in self.pos_att_type:
                positions = _projected(self.pos_q_proj, rel_embeddings, relative_pos[1], heads) * scale
                scores = scores + _position_to_content(key, positions)
        if self.head_logits_proj is not None:
            scores = self.head_logits_proj(scores.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        weights = self.dropout(torch.softmax(scores + attention_mask.to(scores.dtype), dim=-1))
        if self.head_weights_proj is not None:
            weights = self.head_weights_proj(weights.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return _joined(weights @ value), weights if output_attentions else None


class _AttentionV2(v2.DisentangledSelfAttention):  # type: ignore[misc]
    """Versions 2 and 3: position projections of their own, or the content's (``share_att_key``)."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor,
        output_attentions: bool = False,
        query_states: torch.Tensor | None = None,
        relative_pos: torch.Tensor | None = None,
        rel_embeddings: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[B, S, E] to [B, S, H·d]."""
        _refuse_queries(query_states)
        heads = self.num_attention_heads
        key = _heads(self.key_proj(hidden_states), heads)
        value = _heads(self.value_proj(hidden_states), heads)
        query = _heads(self.query_proj(hidden_states), heads)
        kinds = [kind for kind in ("c2p", "p2c") if kind in self.pos_att_type]
        scale = (query.shape[-1] * (1 + len(kinds))) ** -0.5
        query = query * scale
        scores = query @ key.transpose(-1, -2)
        if self.relative_attention and rel_embeddings is not None and relative_pos is not None:
            if "c2p" in kinds:
                projection = self.key_proj if self.share_att_key else self.pos_key_proj
                scores = scores + _content_to_position(
                    query, _projected(projection, rel_embeddings, relative_pos[0], heads)
                )
            if "p2c" in kinds:
                projection = self.query_proj if self.share_att_key else self.pos_query_proj
                positions = _projected(projection, rel_embeddings, relative_pos[1], heads) * scale
                scores = scores + _position_to_content(key, positions)
        weights = self.dropout(torch.softmax(scores + attention_mask.to(scores.dtype), dim=-1))
        return _joined(weights @ value), weights if output_attentions else None


def _refuse_queries(query_states: torch.Tensor | None) -> None:
    if query_states is not None:
        raise ModelError("DeBERTa: attention with queries of another stream (the masked LM decoder) is not compiled")


def _heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, S, H·d] to [B, H, S, d]."""
    return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def _joined(x: torch.Tensor) -> torch.Tensor:
    """[B, H, S, d] to [B, S, H·d]."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)


def _projected(projection: torch.nn.Module, table: torch.Tensor, rows: torch.Tensor, heads: int) -> torch.Tensor:
    """The position table [P, E], projected, as [1, H, 2·S, d] in the order of ``rows``.

    Where the length is known and short, only its rows are projected. Else the whole table is: that depends on no input,
    so ONNX Runtime computes it once, when a session is made.
    """
    count: Any = rows.shape[0]
    if isinstance(count, int) and count < table.shape[0]:
        projected = projection(table.index_select(0, rows)[None])
    else:
        projected = projection(table[None]).index_select(1, rows)
    return _heads(projected, heads)


def _content_to_position(query: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """[B, H, S, S] of query [B, H, S, d] by positions [1, H, 2·S, d] in descending order of query − key."""
    return _shifted(query @ positions.transpose(-1, -2))


def _position_to_content(key: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """[B, H, S, S] of key [B, H, S, d] by positions [1, H, 2·S, d] in ascending order of query − key."""
    return _shifted(key @ positions.transpose(-1, -2)).transpose(-1, -2)


def _shifted(scores: torch.Tensor) -> torch.Tensor:
    """[B, H, S, 2·S] to [B, H, S, S]: row i moved left by S − i (Dai et al. 2019, appendix B)."""
    batch, heads, length, _ = scores.shape
    folded = scores.reshape(batch, heads, 2 * length, length)[:, :, 1:]
    return folded.reshape(batch, heads, length, 2 * length - 1)[:, :, :, :length]


class _Conv(v2.ConvLayer):  # type: ignore[misc]
    """The convolution beside the first block (version 2, xlarge), its masks multiplied."""

    def forward(
        self, hidden_states: torch.Tensor, residual_states: torch.Tensor, input_mask: torch.Tensor
    ) -> torch.Tensor:
        """[B, S, E] twice and 0/1 [B, S] to [B, S, E]; zero where the mask is."""
        keep = input_mask[:, :, None].to(hidden_states.dtype)
        found = self.conv(hidden_states.transpose(1, 2)).transpose(1, 2) * keep
        output: torch.Tensor = self.LayerNorm(residual_states + ACT2FN[self.conv_act](self.dropout(found)))
        return output * keep


class _LayerNorm(v1.DebertaLayerNorm):  # type: ignore[misc]
    """Version 1's own LayerNorm as torch's, for which every engine has a kernel."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """[…, E] to the same."""
        return F.layer_norm(hidden_states, self.weight.shape, self.weight, self.bias, self.variance_epsilon)


_REPLACEMENTS: dict[type[torch.nn.Module], type[torch.nn.Module]] = {
    v1.DebertaEncoder: _EncoderV1,
    v1.DisentangledSelfAttention: _AttentionV1,
    v1.DebertaLayerNorm: _LayerNorm,
    v2.DebertaV2Encoder: _EncoderV2,
    v2.DisentangledSelfAttention: _AttentionV2,
    v2.ConvLayer: _Conv,
}
