"""Run a model again from one of its blocks on, without what comes before: block outputs of one batch are kept.

Works for every family whose description names its blocks. A block is called as ``block(hidden, …)`` and returns the
hidden state, alone or as the first entry of a tuple.

Legend: B rows, S positions, H hidden size, D directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ..data.batching import Batch, BatchOutputs
from ..errors import InputError, ModelError
from ..families import architecture_for
from ..model.base import Model

Forward = Callable[..., Any]


class _ReachedError(Exception):
    """Ends a run at the block where it was to stop."""

    def __init__(self, hidden: torch.Tensor) -> None:
        super().__init__()
        self.hidden = hidden


class PrefixReplay:
    """A model and the way of one batch through it.

    ``blocks`` is 0 for a family without a description, and ``reason`` then says so: every run is a whole run.
    The module is the model's own, so a layer that is changed in place is seen by the next run.
    """

    def __init__(self, model: Model) -> None:
        self.module = model.callable_module()
        self.reason: str | None = None
        self._blocks: list[torch.nn.Module] = []
        self._paths: list[str] = []
        self._stacks: list[str] = []  # blocks of different ones follow no other, as those of two towers
        try:
            family = architecture_for(model.architecture)
            blocks = family.block_modules(model.module)
            self._stacks = [path.rpartition(".")[0] if family.towers else "" for path, _ in blocks]
            self._blocks = [block for _, block in blocks]
            self._paths = [f"{path}." for path, _ in blocks]
        except ModelError as error:
            self.reason = str(error)
        self._kept: list[Any] = []
        self._entered: list[torch.Tensor | None] = []
        self._batch: Batch | None = None

    @property
    def blocks(self) -> int:
        """Number of blocks that runs can start at."""
        return len(self._blocks)

    def block_of(self, path: str) -> int | None:
        """The index of the block that holds the layer at ``path``; None for a layer outside of them."""
        return next((index for index, prefix in enumerate(self._paths) if path.startswith(prefix)), None)

    def follows(self, block: int | None, later: int) -> bool:
        """Whether block ``later`` reads what ``block`` (None: what lies before all of them) gives, by those between."""
        if later >= self.blocks or (block is None and len(set(self._stacks)) > 1):
            return False
        return block is None or self._stacks[block] == self._stacks[later]

    def record(self, batch: Batch) -> BatchOutputs:
        """Run ``batch`` as a whole and keep what each block returns. Needs B·S·H floats a block."""
        kept: list[Any] = [None] * self.blocks
        entered: list[torch.Tensor | None] = [None] * self.blocks
        self._batch, self._kept, self._entered = batch, kept, entered

        def keeping(index: int, original: Forward) -> Forward:
            def forward(*args: Any, **kwargs: Any) -> Any:
                entered[index] = _hidden_of_call(args, kwargs)
                kept[index] = original(*args, **kwargs)
                return kept[index]

            return forward

        forwards = {index: keeping(index, block.forward) for index, block in enumerate(self._blocks)}
        with torch.inference_mode(), self._patched(forwards):
            return self._call(batch)

    def run(self, start: int) -> BatchOutputs:
        """The recorded batch's outputs, computed from block ``start`` on (``blocks``: only what follows them)."""
        with torch.inference_mode(), self._patched(self._replayed(start)):
            return self._call(self._recorded())

    def run_until(self, start: int, stop: int) -> torch.Tensor:
        """The hidden state [B, S, H] that enters block ``stop``, computed from block ``start`` on."""

        def reached(*args: Any, **kwargs: Any) -> Any:
            raise _ReachedError(_hidden_of_call(args, kwargs))

        try:
            with torch.inference_mode(), self._patched({**self._replayed(start), stop: reached}):
                self._call(self._recorded())
        except _ReachedError as end:
            return end.hidden
        raise InputError(f"block {stop} never ran: the model doesn't call its {self.blocks} blocks in order")

    def hidden_before(self, block: int) -> torch.Tensor:
        """The recorded hidden state [B, S, H] that entered ``block`` (1 …), or left the last one (``blocks``)."""
        self._recorded()
        hidden = self._entered[block] if block < self.blocks else _hidden_of_result(self._kept[-1])
        if hidden is None:
            raise InputError(f"block {block} never ran: the model doesn't call its {self.blocks} blocks in order")
        return hidden

    def gradients(self, directions: Callable[[BatchOutputs], Sequence[BatchOutputs]]) -> dict[int, torch.Tensor]:
        """How the outputs answer to each hidden state, to first order.

        Args:
            directions: from the outputs, D tuples u with a tensor for each output.

        Returns:
            For each block 1 … ``blocks`` - 1 the gradients [D, B, S, H] of Σ u·output in the hidden state entering it.
        """
        entering: dict[int, torch.Tensor] = {}

        def following(index: int, original: Forward) -> Forward:
            def forward(*args: Any, **kwargs: Any) -> Any:
                hidden = _hidden_of_call(args, kwargs)
                if not hidden.requires_grad:  # the first block, of each tower
                    hidden = hidden.detach().requires_grad_(True)
                    args, kwargs = _with_hidden(args, kwargs, hidden)
                if index > 0:
                    entering[index] = hidden
                return original(*args, **kwargs)

            return forward

        forwards = {index: following(index, block.forward) for index, block in enumerate(self._blocks)}
        with torch.enable_grad(), self._patched(forwards):
            outputs = self._call(self._recorded())
            found = [
                torch.autograd.grad(outputs, tuple(entering.values()), direction, retain_graph=True)
                for direction in directions(tuple(output.detach() for output in outputs))
            ]
        return {index: torch.stack(columns) for index, columns in zip(entering, zip(*found, strict=True), strict=True)}

    def _recorded(self) -> Batch:
        if self._batch is None:
            raise InputError("nothing is recorded yet: call record() with a batch first")
        return self._batch

    def _replayed(self, start: int) -> dict[int, Forward]:
        return {index: lambda *_, index=index, **__: self._kept[index] for index in range(min(start, self.blocks))}

    def _call(self, batch: Batch) -> BatchOutputs:
        outputs: BatchOutputs = self.module(*batch.tensors)
        return outputs

    @contextmanager
    def _patched(self, forwards: Mapping[int, Forward]) -> Iterator[None]:
        """Blocks with other ``forward`` functions for a while; the modules stay, with their attributes and hooks."""
        before = {index: self._blocks[index].__dict__.get("forward") for index in forwards}
        try:
            for index, forward in forwards.items():
                self._blocks[index].forward = forward
            yield
        finally:
            for index, old in before.items():
                if old is None:
                    self._blocks[index].__dict__.pop("forward", None)
                else:
                    self._blocks[index].forward = old


def _hidden_of_result(result: Any) -> torch.Tensor:
    hidden: torch.Tensor = result[0] if isinstance(result, tuple) else result
    return hidden


def _hidden_of_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    hidden: torch.Tensor = args[0] if args else kwargs["hidden_states"]
    return hidden


def _with_hidden(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], hidden: torch.Tensor
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if args:
        return (hidden, *args[1:]), dict(kwargs)
    return args, {**kwargs, "hidden_states": hidden}
