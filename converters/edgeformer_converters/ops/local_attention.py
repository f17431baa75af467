"""LocalAttention: each query sees the keys near it and a few global ones, at a cost that grows with the length.

Legend: B batch, H query heads, K key/value heads, S positions, D head size, G global positions, L/R keys to the left
and right of a query, d dilation, n positions of one residue class modulo d, q queries a block, w keys a block sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from edgeformer_runtime.errors import InputError

# blocks of fewer queries spend their time in overhead
_SMALLEST_BLOCK = 16


@dataclass(frozen=True)
class LocalPattern:
    """Which keys a query sees (Beltagy et al. 2020, "Longformer", section 3.1: window, dilation, global tokens).

    Query i sees key j when (j - i) is a multiple of ``dilation`` and -left <= (j - i) / dilation <= right, or when i or
    j is global; with ``causal``, only when j <= i as well. The window may be larger than the input (full attention).

    Args:
        left, right: keys before and after, in steps of ``dilation``; >= 0, together >= 1.
        global_tokens: positions that see all and are seen by all, ascending; (0,) is [CLS]. Those beyond an input's
            length are ignored for that input.
        causal: nobody, globals among them, sees what comes after; then ``right`` is 0.
        dense_below: in inputs of fewer positions every query sees every key: full attention, which is faster there and
            what a dense model was trained with. 0: never; so for models that were trained with windows.

    Raises:
        InputError: a value out of its range.
    """

    left: int
    right: int
    dilation: int = 1
    global_tokens: tuple[int, ...] = ()
    causal: bool = False
    dense_below: int = 0

    def __post_init__(self) -> None:
        for name, least in (("left", 0), ("right", 0), ("dilation", 1), ("dense_below", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise InputError(f"local attention: {name} = {value!r}: expected an integer of at least {least}")
        if self.left + self.right < 1:
            raise InputError("local attention: left and right are 0: a query would see only itself; give a radius >= 1")
        if self.causal and self.right:
            raise InputError(f"local attention: right = {self.right} with causal: nobody sees what comes after, give 0")
        if self.causal and self.dense_below:
            raise InputError(f"local attention: dense_below = {self.dense_below} with causal: give 0")
        tokens = self.global_tokens
        if any(type(token) is not int or token < 0 for token in tokens):
            raise InputError(f"local attention: global_tokens = {list(tokens)}: expected positions >= 0")
        if list(tokens) != sorted(set(tokens)):
            raise InputError(f"local attention: global_tokens = {list(tokens)}: expected ascending, each once")
        object.__setattr__(self, "global_tokens", tuple(tokens))

    @classmethod
    def radius(
        cls,
        radius: int,
        *,
        dilation: int = 1,
        global_tokens: Sequence[int] = (),
        causal: bool = False,
        dense_below: int = 0,
    ) -> LocalPattern:
        """``radius`` keys on each side (on the left alone when causal); raises InputError unless it is >= 1."""
        if type(radius) is not int or radius < 1:
            raise InputError(f"local attention: radius = {radius!r}: expected an integer of at least 1")
        return cls(radius, 0 if causal else radius, dilation, tuple(global_tokens), causal, dense_below)

    @property
    def window(self) -> int:
        """Keys in the window, the query's own among them: left + right + 1."""
        return self.left + self.right + 1

    def covers(self, length: int) -> bool:
        """True when every query of an input of ``length`` tokens sees every key (every earlier one when causal)."""
        if length < self.dense_below:
            return True
        right_enough = self.causal or self.right >= length - 1
        in_window = self.left >= length - 1 and right_enough and (self.dilation == 1 or length == 1)
        return in_window or set(range(length)) <= set(self.global_tokens)

    def mask(self, length: int) -> torch.Tensor:
        """bool [length, length]: True where query (row) sees key (column). O(length²): for tests."""
        if length < self.dense_below:
            return torch.ones(length, length, dtype=torch.bool)
        position = torch.arange(length)
        seen = self.in_window(position[:, None], position[None, :])
        is_global = torch.zeros(length, dtype=torch.bool)
        is_global[[token for token in self.global_tokens if token < length]] = True
        seen = seen | is_global[:, None] | is_global[None, :]
        return seen & (position[None, :] <= position[:, None]) if self.causal else seen

    def in_window(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """bool, broadcast: key positions that lie in the windows of query positions; ``dense_below`` aside."""
        offset = key - query
        inside = (offset >= -self.left * self.dilation) & (offset <= self.right * self.dilation)
        return inside & (offset % self.dilation == 0)


class LocalAttention(torch.nn.Module):
    """softmax(scale · Q Kᵀ + bias) V over the keys that ``pattern`` lets each query see.

    In torch this is exact and costs O(S · (left + right + globals)); softmax runs over the seen keys alone, in float32
    or better. A query that sees no key gives exactly 0.

    Args:
        heads, kv_heads: H and K; query head h reads key/value head h // (H / K).
        scale: factor of the scores, usually D ** -0.5.
        bias: float32 [H, left + right + 1], added to the score of offset -left … right (in steps of the dilation), as
            ALiBi or a relative bias; globals outside the window get none.
        full_below: lengths below which full attention with this pattern as its mask is expected to be faster than
            blocks; a lowering for a known length may use it. It chooses the way, never the result. Default: four
            times the mean of left and right.

    Attributes:
        ruled_at: the length that ``pattern.dense_below`` looks at; None for the input's own. A variant of static
            shapes pads a text to one of its lengths and decides by that: so must the model that it is compared with.

    Raises:
        InputError: counts that don't fit each other, a bias of another shape, or a bias with ``dense_below``.
    """

    bias: torch.Tensor | None
    ruled_at: int | None = None

    def __init__(
        self,
        pattern: LocalPattern,
        *,
        heads: int,
        kv_heads: int,
        head_dim: int,
        scale: float,
        bias: torch.Tensor | None = None,
        full_below: int | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("heads", heads), ("kv_heads", kv_heads), ("head_dim", head_dim)):
            if value < 1:
                raise InputError(f"local attention: {name} = {value}: expected at least 1")
        if heads % kv_heads:
            raise InputError(f"local attention: {heads} heads can't share {kv_heads} key/value heads evenly")
        if bias is not None and tuple(bias.shape) != (heads, pattern.window):
            raise InputError(
                f"local attention: bias has shape {tuple(bias.shape)}, expected [{heads}, {pattern.window}]: a row a "
                "head, a column an offset from -left to right"
            )
        if bias is not None and pattern.dense_below:
            raise InputError("local attention: a bias belongs to a window: with one, dense_below is 0")
        self.pattern = pattern
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.scale = float(scale)
        self.full_below = 2 * (pattern.left + pattern.right) if full_below is None else full_below
        self.register_buffer("bias", None if bias is None else bias.detach().clone().float())

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, keep: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Attend.

        Args:
            query: float [B, H, S, D].
            key, value: float [B, K, S, D].
            keep: bool or 0/1 [B, S], which keys count; None for all.

        Returns:
            [B, H, S, D] in the query's dtype.

        Raises:
            InputError: shapes that don't fit this layer.
        """
        self._check(query, key, value, keep)
        dtype = query.dtype
        working = torch.promote_types(dtype, torch.float32)  # halves would lose the sums of long rows
        batch, _, length, _ = query.shape
        keep = query.new_ones((batch, length), dtype=torch.bool) if keep is None else keep > 0
        query = query.to(working) * self.scale
        shared = self.heads // self.kv_heads
        key = key.to(working).repeat_interleave(shared, dim=1)
        value = value.to(working).repeat_interleave(shared, dim=1)
        if (self.ruled_at or length) < self.pattern.dense_below:
            seen = keep[:, None, None, :]
            return _zero_unless_any(_softmax(query @ key.transpose(-1, -2), seen) @ value, seen).to(dtype)
        tokens = [token for token in self.pattern.global_tokens if token < length]
        output = self._windows(query, key, value, keep, tokens)
        if tokens:
            # in place of what their windows gave; a copy, so that gradients flow
            output = output.index_copy(2, torch.tensor(tokens), self._global_rows(query, key, value, keep, tokens))
        return output.to(dtype)

    def _windows(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, keep: torch.Tensor, tokens: list[int]
    ) -> torch.Tensor:
        """All queries over their windows and the global keys: [B, H, S, D]."""
        length = query.shape[2]
        fold = _Fold(self.pattern, length)
        blocks = fold.queries(query)  # [B, H, d, blocks, q, D]
        scores = blocks @ fold.keys(key).transpose(-1, -2)  # [B, H, d, blocks, q, w]
        if self.bias is not None:
            scores = scores + fold.bias(self.bias.to(scores.dtype), self.pattern.left)
        seen = fold.window_mask() & fold.keys(keep[:, None, :, None]).transpose(-1, -2)
        if not tokens:
            return fold.unfold(_zero_unless_any(_softmax(scores, seen) @ fold.keys(value), seen))
        position, columns = torch.arange(length)[:, None], torch.tensor(tokens)
        outside = ~self.pattern.in_window(position, columns)  # [S, G]: a key in the window counts there
        if self.pattern.causal:
            outside = outside & (columns <= position)
        global_seen = fold.queries(outside & keep[:, None, None, tokens])  # [B, 1, d, blocks, q, G]
        global_scores = fold.queries(query @ key[:, :, tokens].transpose(-1, -2))
        seen = torch.cat([seen, global_seen], -1)
        weights = _softmax(torch.cat([scores, global_scores], -1), seen)
        local, from_globals = weights[..., : fold.width], weights[..., fold.width :]
        output = local @ fold.keys(value) + from_globals @ value[:, :, None, None, tokens]
        return fold.unfold(_zero_unless_any(output, seen))

    def _global_rows(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, keep: torch.Tensor, tokens: list[int]
    ) -> torch.Tensor:
        """The global queries over all keys: [B, H, G, D]."""
        length, pattern = query.shape[2], self.pattern
        rows, columns = torch.tensor(tokens)[:, None], torch.arange(length)[None, :]
        scores = query[:, :, tokens] @ key.transpose(-1, -2)  # [B, H, G, S]
        if self.bias is not None:
            offsets = torch.div(columns - rows, pattern.dilation, rounding_mode="floor") + pattern.left
            bias = self.bias.to(scores.dtype)[:, offsets.clamp(0, pattern.window - 1)]
            scores = scores + torch.where(pattern.in_window(rows, columns), bias, torch.zeros_like(bias))
        seen = keep[:, None, None, :]
        if pattern.causal:
            seen = seen & (columns <= rows)
        return _zero_unless_any(_softmax(scores, seen) @ value, seen)

    def _check(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, keep: torch.Tensor | None) -> None:
        batch, heads, length, head_dim = query.shape
        if (heads, head_dim) != (self.heads, self.head_dim):
            raise InputError(
                f"local attention: query has {heads} heads of {head_dim}, this layer was made for {self.heads} of "
                f"{self.head_dim}. Remove heads before attention is made local"
            )
        expected = (batch, self.kv_heads, length, head_dim)
        for name, tensor in (("key", key), ("value", value)):
            if tuple(tensor.shape) != expected:
                raise InputError(f"local attention: {name} has shape {tuple(tensor.shape)}, expected {expected}")
        if keep is not None and tuple(keep.shape) != (batch, length):
            raise InputError(f"local attention: keep has shape {tuple(keep.shape)}, expected {(batch, length)}")

    def attributes(self) -> dict[str, Any]:
        """What a node for long inputs says: left, right, dilation, causal (0/1), global_tokens, scale."""
        pattern = self.pattern
        return {
            "left": pattern.left,
            "right": pattern.right,
            "dilation": pattern.dilation,
            "causal": int(pattern.causal),
            "global_tokens": list(pattern.global_tokens),
            "scale": self.scale,
        }

    def extra_repr(self) -> str:
        """Shown by ``print(model)``; holds all settings, since a model's digest reads it."""
        return (
            f"{self.pattern}, heads={self.heads}, kv_heads={self.kv_heads}, head_dim={self.head_dim}, "
            f"scale={self.scale!r}, bias={self.bias is not None}, full_below={self.full_below}"
        )


class _Fold:
    """Positions by residue class modulo the dilation, and each class cut into blocks of queries.

    Within a class the window is a plain one, so dilation costs nothing more.
    """

    def __init__(self, pattern: LocalPattern, length: int) -> None:
        self.length = length
        self.dilation = min(pattern.dilation, length)
        class_length = -(-length // self.dilation)
        # a window larger than the class is full attention: no need to pad beyond it
        self.left, self.right = min(pattern.left, class_length - 1), min(pattern.right, class_length - 1)
        self.block = min(max(self.left + self.right, _SMALLEST_BLOCK), class_length)
        self.blocks = -(-class_length // self.block)
        self.pad_left, self.pad_right = self.left, self.right
        if self.blocks * self.block * (self.block + self.left + self.right) >= class_length**2:
            # blocks overlap so much that all pairs of the class are fewer
            self.block, self.blocks, self.pad_left, self.pad_right = class_length, 1, 0, 0
        self.width = self.block + self.pad_left + self.pad_right

    def queries(self, x: torch.Tensor) -> torch.Tensor:
        """[B, H, S, D] to [B, H, d, blocks, q, D], padded with zeros (False)."""
        classes = self._classes(x)
        return classes.reshape(*classes.shape[:3], self.blocks, self.block, classes.shape[-1])

    def keys(self, x: torch.Tensor) -> torch.Tensor:
        """[B, H, S, D] to [B, H, d, blocks, w, D]: what each block's queries can see, zeros (False) beyond the ends."""
        padded = F.pad(self._classes(x), (0, 0, self.pad_left, self.pad_right))
        return padded.unfold(3, self.width, self.block).transpose(-1, -2)

    def unfold(self, x: torch.Tensor) -> torch.Tensor:
        """The inverse of ``queries``."""
        batch, heads, _, _, _, size = x.shape
        positions = x.reshape(batch, heads, self.dilation, self.blocks * self.block, size).transpose(2, 3)
        return positions.reshape(batch, heads, -1, size)[:, :, : self.length]

    def window_mask(self) -> torch.Tensor:
        """bool [q, w]: which of the block's keys lie in each query's window."""
        steps = self._steps()
        return (steps >= 0) & (steps <= self.left + self.right)

    def bias(self, bias: torch.Tensor, full_left: int) -> torch.Tensor:
        """[H, left + right + 1] to [1, H, 1, 1, q, w]; what lies outside the window is masked anyway."""
        columns = (self._steps() + full_left - self.left).clamp(0, bias.shape[1] - 1)
        return bias[:, columns][None, :, None, None]

    def _steps(self) -> torch.Tensor:
        """int [q, w]: each key's place in the query's window, 0 for the leftmost."""
        first = self.left - self.pad_left
        return torch.arange(self.width)[None, :] - torch.arange(self.block)[:, None] + first

    def _classes(self, x: torch.Tensor) -> torch.Tensor:
        """[B, H, S, D] to [B, H, d, blocks · q, D]: position p is number p // d of class p % d."""
        batch, heads, _, size = x.shape
        padded = F.pad(x, (0, 0, 0, self.dilation * self.blocks * self.block - self.length))
        return padded.reshape(batch, heads, self.blocks * self.block, self.dilation, size).transpose(2, 3)


def _softmax(scores: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Softmax over the last dimension where ``seen``, exact zeros elsewhere; uniform in rows that see nothing."""
    # the lowest finite number, not -inf: rows without a key then have no NaN, neither here nor in their gradient
    return torch.softmax(scores.masked_fill(~seen, torch.finfo(scores.dtype).min), dim=-1)


def _zero_unless_any(output: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """``output`` [..., D] with exact zeros in the rows of ``seen`` [..., w] that see no key."""
    return output * seen.any(-1, keepdim=True)
