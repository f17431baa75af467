"""Prune and repair a model one block after the other, each on the activations of those already done before it.

The rows run through the embeddings once; from then on every block is run by itself on the states that the pruned
blocks before it left, so that the work grows linearly with the number of blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..data.batching import Batch
from ..errors import InputError, ModelError
from ..families import Architecture, Block
from ..model.base import Model
from .reconstruct import Moments, reconstruct
from .surgery import head_columns, make_linear, prune_block
from .units import Kept, linear

Tensors = dict[str, torch.Tensor]


class _ReachedError(Exception):
    """The first block was called: the rest of the model needn't run."""


@dataclass
class _Call:
    """How a block was called for one batch; ``hidden`` is its first argument."""

    hidden: torch.Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    real: torch.Tensor | None


def prune_and_reconstruct(
    model: Model,
    blocks: Sequence[Block],
    architecture: Architecture,
    kept: Sequence[Kept],
    batches: Sequence[Batch],
    progress: Callable[[str], None] = lambda message: None,
) -> tuple[Tensors, list[dict[str, Any]]]:
    """Prune a copy of the model; the repaired weights and biases by path, and the errors of each block.

    Raises:
        InputError: NaN or infinite activations, naming the layer.
        ModelError: the block's module can't be run by itself.
    """
    module = model.copy_module()
    calls = _first_calls(model.with_module(module), blocks[0], batches)
    tensors: Tensors = {}
    facts: list[dict[str, Any]] = []
    for block, before, keep in zip(blocks, (None, *blocks[:-1]), kept, strict=True):
        if before is not None and block.stack == before.stack:
            _advance(module.get_submodule(before.path), calls)
        elif before is not None:  # what lies between two stacks is the model's own
            calls = _first_calls(model.with_module(module), block, batches)
        errors: dict[str, Any] = {}
        if len(keep.heads) < block.heads:
            only_heads = Kept(keep.heads, tuple(range(block.channels)))
            columns = head_columns(keep.heads, block.head_dim)
            errors["attention"] = _repair(
                module, block, block.output, columns, architecture, only_heads, calls, tensors
            )
        if len(keep.channels) < block.channels:
            only_channels = Kept(tuple(range(block.heads)), keep.channels)
            errors["feed_forward"] = _repair(
                module, block, block.down, keep.channels, architecture, only_channels, calls, tensors
            )
        facts.append(errors)
        progress(f"reconstructed block {block.index + 1} of {len(blocks)}")
    return tensors, facts


def _repair(
    module: torch.nn.Module,
    block: Block,
    path: str,
    columns: Sequence[int],
    architecture: Architecture,
    keep: Kept,
    calls: Sequence[_Call],
    tensors: Tensors,
) -> dict[str, float]:
    """Cut one half of a block, and put the least-squares linear at ``path``; returns its relative errors."""
    moments = _moments(module.get_submodule(block.path), linear(module, path), path, calls)
    old = linear(module, path)
    made = reconstruct(old.weight, old.bias, moments, columns)
    prune_block(module, block, architecture, keep)
    parent, _, leaf = path.rpartition(".")
    repaired = make_linear(old, made.weight, made.bias)
    setattr(module.get_submodule(parent), leaf, repaired)
    tensors[f"{path}.weight"] = repaired.weight.detach()
    if repaired.bias is not None:
        tensors[f"{path}.bias"] = repaired.bias.detach()
    return {"error_removed": made.error_removed, "error": made.error}


def _first_calls(model: Model, block: Block, batches: Sequence[Batch]) -> list[_Call]:
    calls: list[_Call] = []

    def note(layer: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not args or not isinstance(args[0], torch.Tensor):
            raise ModelError(f"block {block.path}: expected hidden states as its first positional argument")
        calls.append(_Call(args[0], tuple(args[1:]), dict(kwargs), None))
        raise _ReachedError

    handle = model.module.get_submodule(block.path).register_forward_pre_hook(note, with_kwargs=True)
    module = model.callable_module()
    try:
        with torch.no_grad():
            for batch in batches:
                try:
                    module(*batch.tensors)
                except _ReachedError:
                    calls[-1].real = batch.real
    finally:
        handle.remove()
    return calls


def _run(layer: torch.nn.Module, call: _Call) -> torch.Tensor:
    with torch.no_grad():
        result = layer(call.hidden, *call.args, **call.kwargs)
    return result if isinstance(result, torch.Tensor) else result[0]


def _advance(layer: torch.nn.Module, calls: Sequence[_Call]) -> None:
    for call in calls:
        call.hidden = _run(layer, call)


def _moments(layer: torch.nn.Module, reader: torch.nn.Linear, path: str, calls: Sequence[_Call]) -> Moments:
    """Moments of the inputs of ``reader`` when ``layer`` runs, over real positions."""
    moments = Moments()
    inputs: list[torch.Tensor] = []
    handle = reader.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    try:
        for call in calls:
            _run(layer, call)
            x = inputs.pop()
            flat = x.reshape(-1, x.shape[-1]) if call.real is None or x.dim() != 3 else x[call.real]
            if not torch.isfinite(flat).all():
                raise InputError(f"layer {path}: NaN or infinite activations on calibration rows")
            moments.add(flat.float())
    finally:
        handle.remove()
    return moments
