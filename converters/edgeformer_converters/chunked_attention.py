"""LocalAttention in plain torch operators that every exporter can trace: slices, products, one softmax. No loop, no
index that depends on data, no boolean, at most five dimensions (Core ML's limit), values inside float16's range.

Queries are cut into blocks, and one batched product multiplies each with the keys in its reach: cost and memory grow
with S · (left + right). Where the reach isn't smaller than the input, the pattern is a mask on all pairs instead.

Legend: B batch, H query heads, K key/value heads, M = H / K, S positions, D head size, G global positions, d dilation,
Z = B · d, N blocks, q queries a block, w keys that a block meets.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional as F

from .ops.local_attention import LocalAttention, LocalPattern

# Added to scores of keys that aren't seen, at most three times: far below any score, and inside float16's range.
MASKED = -10000.0
# few large products: a block of the reach on one side, but not smaller than this
_SMALLEST_BLOCK, _LARGEST_BLOCK = 16, 128
_RUNS = 2  # of global positions: with more, the pieces of the output would be over five, which XNNPACK doesn't join


@dataclass(frozen=True)
class _Blocks:
    """How many queries a block has and how many blocks of keys beside its own it meets."""

    queries: int
    beside: int

    @classmethod
    def of(cls, pattern: LocalPattern) -> _Blocks:
        around = pattern.left + pattern.right
        queries = min(max(-(-around // 2), _SMALLEST_BLOCK), _LARGEST_BLOCK)
        return cls(queries, -(-around // queries))

    @property
    def keys(self) -> int:
        return (self.beside + 1) * self.queries


class _Constants:
    """What depends on the pattern and a length alone, made before anything is traced: no engine has to compute it."""

    def __init__(self, layer: LocalAttention, blocks: _Blocks, length: int) -> None:
        pattern = layer.pattern
        self.tokens = [token for token in pattern.global_tokens if token < length]
        self.dense = length < max(pattern.dense_below, layer.full_below) or length <= blocks.keys
        everything = torch.arange(length)
        if self.dense:
            self.tokens, rows, allowed = [], everything, pattern.mask(length)
        else:
            rows = torch.tensor(self.tokens, dtype=torch.int64)
            past = rows[:, None] >= everything
            allowed = past if pattern.causal else torch.ones_like(past)
        # of whole rows, those of global queries or, where dense, all: which keys they see, [rows, S], and their bias
        self.pairs, self.some_unseen = allowed.float(), not bool(allowed.all())
        self.pair_bias = None if layer.bias is None else _pair_bias(pattern, layer.bias, rows, everything)
        # of blocks: key number k of a block's window has offset k - row - left
        steps = torch.arange(blocks.keys)[None, :] - torch.arange(blocks.queries)[:, None]
        self.band = ((steps >= 0) & (steps < pattern.window)).float()  # [q, w]
        self.block_bias = None  # [1, K, 1, M · q, w + G], 0 for the global columns
        if layer.bias is not None:
            bias = layer.bias[:, steps.clamp(0, pattern.window - 1)].reshape(1, layer.kv_heads, 1, -1, blocks.keys)
            self.block_bias = F.pad(bias, (0, len(self.tokens)))
        self.columns = self._columns(pattern, blocks, length)  # [1, d, N, q, G]: 1 where a window lacks a global key
        self.places = (everything[:, None] == rows).float() if self.tokens else None  # [S, G]

    def _columns(self, pattern: LocalPattern, blocks: _Blocks, length: int) -> torch.Tensor:
        step = blocks.queries * pattern.dilation
        positions = torch.arange(-(-length // step) * step).reshape(-1, pattern.dilation).transpose(0, 1)
        positions = positions.reshape(1, pattern.dilation, -1, blocks.queries, 1)
        keys = torch.tensor(self.tokens, dtype=torch.int64)
        outside = ~pattern.in_window(positions, keys)
        if pattern.causal:
            outside = outside & (keys <= positions)
        return outside.float()


def _pair_bias(pattern: LocalPattern, bias: torch.Tensor, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """[H, queries, keys]: the bias of pairs in the window, 0 outside."""
    inside = pattern.in_window(queries[:, None], keys[None, :])
    steps = torch.div(keys[None, :] - queries[:, None], pattern.dilation, rounding_mode="floor")
    return bias[:, (steps + pattern.left).clamp(0, pattern.window - 1)] * inside


class ChunkedAttention(torch.nn.Module):
    """Computes what ``layer`` computes, for tracing.

    Args:
        layer: taken over with its pattern, scale and bias.
        lengths: of the inputs.
        fixed: each trace is for one of ``lengths``; otherwise for any length up to the last of them, by whose length
            ``dense_below`` is decided for all.
    """

    def __init__(self, layer: LocalAttention, lengths: Sequence[int], fixed: bool) -> None:
        super().__init__()
        self.pattern, self.scale, self.fixed = layer.pattern, layer.scale, fixed
        self.heads, self.kv_heads, self.head_dim = layer.heads, layer.kv_heads, layer.head_dim
        self.shared = layer.heads // layer.kv_heads
        self.blocks = _Blocks.of(layer.pattern)
        self.longest = max(lengths)
        self.constants = {
            length: _Constants(layer, self.blocks, length) for length in (lengths if fixed else [self.longest])
        }

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, keep: torch.Tensor | None = None
    ) -> torch.Tensor:
        """As ``LocalAttention.forward``: [B, H, S, D]."""
        length: Any = int(query.shape[2]) if self.fixed else query.shape[2]
        known = self.constants[length if self.fixed else self.longest]
        query = query * self.scale
        seen = query[:, 0, :, 0] * 0 + 1 if keep is None else keep.to(query.dtype)
        if known.dense:
            return self._rows(query, key, value, seen, length, known)
        output = self._in_blocks(query, key, value, seen, length, known)
        if not known.tokens:
            return output
        rows = self._rows(self._at(query, known.tokens), key, value, seen, length, known)
        return self._put_back(output, rows, length, known)

    def _rows(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        seen: torch.Tensor,
        length: Any,
        known: _Constants,
    ) -> torch.Tensor:
        """Queries of all positions, or of the global ones, against all keys: [B, H, rows, D]."""
        batch, rows, size = query.shape[0], query.shape[2], query.shape[3]
        pairs, bias = known.pairs, known.pair_bias
        if not self.fixed:
            pairs = pairs[:length, :length] if known.dense else pairs[:, :length]
            if bias is not None:
                bias = bias[:, :length, :length] if known.dense else bias[:, :, :length]
        folded = query.reshape(batch, self.kv_heads, self.shared * rows, size)
        mask = (seen[:, None, None, :] - 1) * -MASKED  # [B, 1, 1, S]
        if known.some_unseen:
            mask = _tiled(mask + (pairs - 1) * -MASKED, self.shared)  # [B, 1, M · rows, S]
        scores = folded @ key.transpose(2, 3) + mask
        if bias is not None:
            scores = scores + bias.reshape(1, self.kv_heads, self.shared * rows, length)
        result = (torch.softmax(scores, -1) @ value).reshape(batch, self.kv_heads * self.shared, rows, size)
        counts = (seen[:, None, :] @ pairs.transpose(0, 1)).transpose(1, 2)  # [B, rows, 1]: keys that a row sees
        return result * _at_most_one(counts)[:, None]

    def _in_blocks(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        seen: torch.Tensor,
        length: Any,
        known: _Constants,
    ) -> torch.Tensor:
        """Every query against its window and the global keys: [B, H, S, D]."""
        batch, heads, size = query.shape[0], self.kv_heads * self.shared, query.shape[3]
        rows, dilation = self.blocks.queries, self.pattern.dilation
        step = rows * dilation
        count = (length + step - 1) // step
        blocks = self._classes(query, count)
        if self.shared > 1:
            blocks = blocks.reshape(-1, self.shared, count, rows, size).transpose(1, 2)
        blocks = blocks.reshape(batch * dilation, self.kv_heads, count, self.shared * rows, size)
        keys = self._windows(self._classes(key, count).transpose(2, 3), count, 3)  # [Z, K, N, D, w]
        values = self._windows(self._classes(value, count), count, 2)  # [Z, K, N, w, D]
        near = self._windows(self._classes(seen[:, None, :, None], count)[:, :, :, 0], count, 2)[:, 0]  # [Z, N, w]
        mask = (near[:, :, None] - 1) * -MASKED + (known.band - 1) * -MASKED  # [Z, N, q, w]
        counts = near @ known.band.transpose(0, 1)  # [Z, N, q]: keys that a row sees
        if known.tokens:
            columns, far, keys, values = self._global_columns(key, value, seen, keys, values, count, known)
            mask, counts = torch.cat([mask, columns], -1), counts + far
        scores = blocks @ keys + _tiled(mask, self.shared)[:, None]
        if known.block_bias is not None:
            scores = scores + known.block_bias
        sums = torch.softmax(scores, -1) @ values  # [Z, K, N, M · q, D]
        sums = sums * _tiled(_at_most_one(counts), self.shared)[:, None, :, :, None]
        if self.shared > 1:
            sums = sums.reshape(-1, count, self.shared, rows, size).transpose(1, 2)
        if dilation == 1:
            return sums.reshape(batch, heads, count * rows, size)[:, :, :length]
        by_class = sums.reshape(batch, dilation, heads, count * rows, size).permute(0, 2, 3, 1, 4)
        return by_class.reshape(batch, heads, count * step, size)[:, :, :length]

    def _classes(self, x: torch.Tensor, count: Any) -> torch.Tensor:
        """[B, heads, S, D] to [Z, heads, N · q, D]: position p is number p // d of class p % d; zeros at the end."""
        batch, heads, length, size = x.shape
        dilation = self.pattern.dilation
        step = self.blocks.queries * dilation
        if self.fixed:
            padded = F.pad(x, (0, 0, 0, int(count) * step - int(length)))
        else:  # by a number that is known, then cut: dynamic padding is what few engines have
            padded = F.pad(x, (0, 0, 0, step - 1))[:, :, : count * step]
        if dilation == 1:
            return padded
        cut = padded.reshape(batch, heads, -1, dilation, size).permute(0, 3, 1, 2, 4)
        return cut.reshape(batch * dilation, heads, -1, size)

    def _windows(self, x: torch.Tensor, count: Any, axis: int) -> torch.Tensor:
        """Cut ``axis`` (N · q positions) into the N windows of w positions; a new axis N goes after the heads."""
        rows, left = self.blocks.queries, self.pattern.left
        after = [0, 0] * (x.ndim - 1 - axis)
        # the windows of one block after the other start q positions apart, the first one ``left`` before the input
        padded = F.pad(x, (*after, left, self.blocks.beside * rows - left))
        cut = padded.reshape(*x.shape[:axis], -1, rows, *x.shape[axis + 1 :])
        cut = cut if axis == 2 else cut.transpose(2, 3)
        shifted = [cut[:, :, shift : shift + count] for shift in range(self.blocks.beside + 1)]
        return torch.cat(shifted, axis + 1)

    def _global_columns(
        self,
        key: torch.Tensor,
        value: torch.Tensor,
        seen: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        count: Any,
        known: _Constants,
    ) -> tuple[torch.Tensor, ...]:
        """Mask [Z, N, q, G] and number [Z, N, q] of the global keys that queries see beyond their windows, and keys
        and values with them at the end of each window.
        """
        tokens, rows, dilation = known.tokens, self.blocks.queries, self.pattern.dilation
        wanted = known.columns if self.fixed else known.columns[:, :, :count]
        kept = self._at(seen[:, None, :, None], tokens).reshape(-1, 1, 1, 1, len(tokens))
        far = (wanted * kept).reshape(-1, count, rows, len(tokens))
        extra_keys, extra_values = self._at(key, tokens).transpose(2, 3), self._at(value, tokens)
        widened = []
        for windows, extra in ((keys, extra_keys), (values, extra_values)):
            by_class = torch.cat([extra[:, None]] * dilation, 1) if dilation > 1 else extra
            by_class = by_class.reshape(keys.shape[0], self.kv_heads, 1, *extra.shape[2:])
            every_block = by_class + windows[..., :1, :1] * 0  # XNNPACK adds, and has no operator to repeat
            widened.append(torch.cat([windows, every_block], 4 if extra is extra_keys else 3))
        return (far - 1) * -MASKED, far.sum(-1), *widened

    def _at(self, x: torch.Tensor, tokens: list[int]) -> torch.Tensor:
        """[B, heads, S, ·] at positions ``tokens``: [B, heads, G, ·]; zeros beyond the input."""
        x = x if self.fixed else F.pad(x, (0, 0, 0, tokens[-1] + 1))
        return torch.cat([x[:, :, first : last + 1] for first, last in _runs(tokens)], 2)

    def _put_back(self, output: torch.Tensor, rows: torch.Tensor, length: Any, known: _Constants) -> torch.Tensor:
        """``output`` with ``rows`` at the global positions."""
        runs = _runs(known.tokens)
        if known.places is not None and (not self.fixed or len(runs) > _RUNS):
            places = known.places if self.fixed else known.places[:length]
            return output * (1 - places.sum(-1, keepdim=True)) + places @ rows
        pieces: list[torch.Tensor] = []
        done = taken = 0
        for first, last in runs:
            number = last + 1 - first
            pieces += [output[:, :, done:first]] if first > done else []
            pieces.append(rows[:, :, taken : taken + number])
            done, taken = last + 1, taken + number
        return torch.cat([*pieces, *([output[:, :, done:]] if done < length else [])], 2)


def _tiled(x: torch.Tensor, times: int) -> torch.Tensor:
    """``x`` repeated along its third axis."""
    return x if times == 1 else torch.cat([x] * times, 2)


def _at_most_one(counts: torch.Tensor) -> torch.Tensor:
    """min(counts, 1) of whole numbers >= 0, in operators that XNNPACK takes."""
    return 1 - torch.relu(1 - counts)


def length_rule(module: torch.nn.Module, decided_by: str | int) -> dict[str, Any]:
    """For a manifest: below how many positions attention is full, and whose length decides; {} without such a rule.

    Args:
        decided_by: "input", its own length; "signature", that of the static form which runs it; or a number, the one
            length of a file whose form was chosen for all inputs at once.
    """
    bounds = sorted({layer.pattern.dense_below for layer in local_layers(module).values()} - {0})
    return {"full_attention": {"below_positions": bounds, "decided_by": decided_by}} if bounds else {}


def local_layers(module: torch.nn.Module) -> dict[str, LocalAttention]:
    """Every LocalAttention of ``module`` by its path."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, LocalAttention)}


def with_chunked_attention(module: torch.nn.Module, lengths: Sequence[int], fixed: bool) -> torch.nn.Module:
    """A copy of the tree of ``module`` with ``ChunkedAttention`` for each local attention; other parameters and buffers
    are those of ``module``.
    """
    memo: dict[int, Any] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    for layer in local_layers(module).values():
        memo[id(layer)] = ChunkedAttention(layer, lengths, fixed).eval()
    return copy.deepcopy(module, memo)


def _runs(tokens: list[int]) -> list[tuple[int, int]]:
    """First and last of each run of neighbours: [0, 1, 5] to [(0, 1), (5, 5)]."""
    breaks = [index for index, (here, following) in enumerate(pairwise(tokens), 1) if following != here + 1]
    starts, ends = [0, *breaks], [*breaks, len(tokens)]
    return [(tokens[start], tokens[end - 1]) for start, end in zip(starts, ends, strict=True)]
