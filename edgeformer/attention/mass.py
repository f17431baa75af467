"""How far a dense model's heads look: the share of each head's attention that lies within a radius.

Legend: H heads, S positions, C radii asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..data.batching import padded_batches
from ..data.encoded import EncodedSamples
from ..model.base import Model
from .registry import grouped, padding_mask, probabilities, use

_IMPLEMENTATION = "edgeformer_attention_mass"
_RECORDER = "edgeformer_mass"
# weights [B, H, S, S] of one batch: 128 MiB in float32
_MAX_WEIGHTS = 2**25


def attention_mass(
    model: Model,
    samples: EncodedSamples,
    paths: Sequence[str],
    radii: Sequence[int],
    global_tokens: Sequence[int],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, torch.Tensor]:
    """Run ``model`` over ``samples`` with full attention and sum its weights by distance.

    Args:
        paths: attention modules, as ``Block.attention`` names them.
        radii: ascending.
        global_tokens: keys that count as seen at any distance; queries there are left out, as they see everything.

    Returns:
        By path, float64 [H, C]: the mean over real queries of the weight on keys within each radius or global.
    """
    module = model.copy_module()
    recorders = {path: _Recorder(radii, global_tokens) for path in paths}
    for path, recorder in recorders.items():
        setattr(module.get_submodule(path), _RECORDER, recorder)
    longest = max(int(row["input_ids"].shape[1]) for row in samples.feeds)
    heads = int(module.config.num_attention_heads)  # type: ignore[union-attr, arg-type]
    size = max(1, min(32, _MAX_WEIGHTS // (heads * longest * longest)))
    callable_module = model.with_module(module).callable_module()
    batches = padded_batches(model, samples, size)
    _register()
    use(module, _IMPLEMENTATION)
    with torch.inference_mode():
        for number, batch in enumerate(batches, start=1):
            for recorder in recorders.values():
                recorder.real = batch.real
            callable_module(*batch.tensors)
            progress(number, len(batches))
    return {path: recorder.shares() for path, recorder in recorders.items()}


class _Recorder:
    """Sums of one layer's attention weights by the smallest radius that reaches them."""

    def __init__(self, radii: Sequence[int], global_tokens: Sequence[int]) -> None:
        self.radii = torch.tensor(list(radii))
        self.global_tokens = list(global_tokens)
        self.real: torch.Tensor | None = None  # bool [B, S] of the batch that runs
        self.sums: torch.Tensor | None = None  # float64 [H, C + 1]; the last column lies beyond every radius
        self.queries = 0

    def add(self, weights: torch.Tensor) -> None:
        """``weights`` is float32 [B, H, S, S]."""
        _, heads, length, _ = weights.shape
        position = torch.arange(length)
        tokens = [token for token in self.global_tokens if token < length]
        counted = torch.ones(len(weights), length, dtype=torch.bool) if self.real is None else self.real.clone()
        counted[:, tokens] = False
        # bucket c: the smallest radius that sees the pair is number c; global keys are seen by all
        bucket = torch.searchsorted(self.radii, (position[:, None] - position[None, :]).abs())
        bucket[:, tokens] = 0
        total = (weights * counted[:, None, :, None]).sum(0).reshape(heads, -1)
        sums = torch.zeros(heads, len(self.radii) + 1, dtype=torch.float64)
        sums.index_add_(1, bucket.reshape(-1), total.double())
        self.sums = sums if self.sums is None else self.sums + sums
        self.queries += int(counted.sum())

    def shares(self) -> torch.Tensor:
        if self.sums is None or not self.queries:
            return torch.ones(1, len(self.radii), dtype=torch.float64)  # global queries alone: they see everything
        return self.sums.cumsum(1)[:, :-1] / self.queries


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(_IMPLEMENTATION, _attend)
    AttentionMaskInterface.register(_IMPLEMENTATION, padding_mask)


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    weights = probabilities(module, query, key, attention_mask, scaling)
    recorder: _Recorder | None = getattr(module, _RECORDER, None)
    if recorder is not None:
        recorder.add(weights)
    return (weights @ grouped(value, query)).transpose(1, 2).contiguous(), None
