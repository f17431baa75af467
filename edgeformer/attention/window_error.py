"""What a window would change in a dense model: the error of each block's attention beside the residual stream.

Attention weight that a window leaves out says little of what is lost: a head that looks everywhere evenly gives nearly
the same mean over a window as over the whole input. So each block is computed both ways, on the inputs that it has.

Legend: B rows, H heads, S positions, D head size, M hidden size, C radii asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..data.batching import padded_batches
from ..data.encoded import EncodedSamples
from ..families import Block
from ..model.base import Model
from .registry import grouped, padding_mask, probabilities, use

_IMPLEMENTATION = "edgeformer_window_error"
_RECORDER = "edgeformer_window"
# weights [B, H, S, S] of one batch: 64 MiB in float32, and as much again for a window's
_MAX_WEIGHTS = 2**24


def window_errors(
    model: Model,
    samples: EncodedSamples,
    blocks: Sequence[Block],
    radii: Sequence[int],
    global_tokens: Sequence[int],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[int, torch.Tensor]:
    """Run ``model`` over ``samples`` with full attention, and each block's attention again with each window.

    Args:
        radii: ascending.
        global_tokens: keys that are seen at any distance; queries there are left out, as they see everything.

    Returns:
        By block's number, float64 [C]: Σ‖W(f − w)‖² / Σ‖x + W f‖² over real queries, where x [M] is the block's input,
        f and w [H · D] the heads' outputs with full attention and with the window, and W the output projection.
    """
    module = model.copy_module()
    recorders = {}
    for block in blocks:
        recorder = _Recorder(radii, global_tokens, module.get_submodule(block.output))
        recorders[block.index] = recorder
        setattr(module.get_submodule(block.attention), _RECORDER, recorder)
        module.get_submodule(block.path).register_forward_pre_hook(recorder.note_input, with_kwargs=True)
    longest = max(int(row["input_ids"].shape[1]) for row in samples.feeds)
    heads = max(block.heads for block in blocks)
    batches = padded_batches(model, samples, max(1, min(32, _MAX_WEIGHTS // (heads * longest * longest))))
    callable_module = model.with_module(module).callable_module()
    _register()
    use(module, _IMPLEMENTATION)
    with torch.inference_mode():
        for number, batch in enumerate(batches, start=1):
            for recorder in recorders.values():
                recorder.real = batch.real
            callable_module(*batch.tensors)
            progress(number, len(batches))
    return {index: recorder.errors() for index, recorder in recorders.items()}


class _Recorder:
    """Squared errors of one block by radius, and what they are divided by."""

    def __init__(self, radii: Sequence[int], global_tokens: Sequence[int], projection: torch.nn.Module) -> None:
        self.radii = list(radii)
        self.global_tokens = list(global_tokens)
        self.real: torch.Tensor | None = None  # bool [B, S] of the batch that runs
        # not a submodule of the attention: this object is no module
        self._projection: Any = projection
        self._input: torch.Tensor | None = None  # [B, S, M]
        self._errors = torch.zeros(len(self.radii), dtype=torch.float64)
        self._energy = 0.0

    def note_input(self, block: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The hook that keeps what flows into the block."""
        self._input = args[0] if args else kwargs["hidden_states"]

    def add(self, weights: torch.Tensor, value: torch.Tensor, output: torch.Tensor) -> None:
        """Weights [B, H, S, S], values and output [B, H, S, D] of full attention."""
        length = weights.shape[-1]
        tokens = [token for token in self.global_tokens if token < length]
        counted = torch.ones(len(weights), length, dtype=torch.bool) if self.real is None else self.real.clone()
        counted[:, tokens] = False
        full = self._projection(_joined(output))
        stream = full if self._input is None else full + self._input
        self._energy += float(stream[counted].double().square().sum())
        position = torch.arange(length)
        distance = (position[:, None] - position[None, :]).abs()
        distance[:, tokens] = 0
        for number, radius in enumerate(self.radii):
            kept = weights * (distance <= radius)
            # a query sees at least itself, so the sum is 0 only where its weight underflowed
            local = (kept @ value) / kept.sum(-1, keepdim=True).clamp(min=torch.finfo(kept.dtype).tiny)
            changed = (self._projection(_joined(local)) - full)[counted]
            self._errors[number] += float(changed.double().square().sum())

    def errors(self) -> torch.Tensor:
        # global queries alone: they see everything
        return self._errors / self._energy if self._energy else torch.zeros_like(self._errors)


def _joined(x: torch.Tensor) -> torch.Tensor:
    """[B, H, S, D] to [B, S, H · D]."""
    return x.transpose(1, 2).flatten(2)


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
    value = grouped(value, query)
    output = weights @ value
    recorder: _Recorder | None = getattr(module, _RECORDER, None)
    if recorder is not None:
        recorder.add(weights, value, output)
    return output.transpose(1, 2).contiguous(), None
