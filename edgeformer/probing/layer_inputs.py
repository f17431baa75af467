"""Input statistics of layers that are being quantized, one layer after the other.

one_shot    what flows in the float model; every layer is treated as if the others were exact
by_block    what flows once the earlier layers hold their integers (Frantar et al. 2022, section 4, "setup"), so that
            later layers make up for earlier errors. Blocks run alone on their stored inputs, as far as the layers
            asked for, so that a model costs two to three runs, however many blocks it has.

Both yield a layer's path with its statistics. ``by_block`` reads the model again after each group of layers, so the
caller puts the integers into the model before it asks for the next layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..data.batching import Batch
from ..errors import ModelError
from ..families import Block, architecture_for
from ..model.base import Model
from .activations import InputStatistics, input_statistics, run_with_inputs

Statistics = Iterator[tuple[str, InputStatistics]]
# gram matrices that are held at a time; BERT-base's would be 1.2 GB together
_GRAM_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Call:
    """The arguments of one call of a block."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def running_order(model: Model, batch: Batch, paths: Iterable[str]) -> list[str]:
    """The linears among ``paths`` that run, in the order in which they first do."""
    order: list[str] = []

    def note(path: str, x: torch.Tensor, real: torch.Tensor | None) -> None:
        if path not in order:
            order.append(path)

    run_with_inputs(model, [batch], {path: model.module.get_submodule(path) for path in paths}, note)
    return order


def one_shot(model: Model, batches: Sequence[Batch], paths: Sequence[str], *, gram: bool) -> Statistics:
    """Statistics of ``model`` as it is; in several runs where the gram matrices would take too much memory."""
    for group in _groups_that_fit(model, paths, gram):
        found = input_statistics(model, batches, group, gram=gram)
        for path in group:
            yield path, found.pop(path)


def blocks_in_a_chain(model: Model, batch: Batch) -> tuple[tuple[Block, ...], str | None]:
    """The model's blocks, if each takes the output of the one before it in its stack; else none, and the reason."""
    try:
        blocks = architecture_for(model.architecture).find_blocks(model.module)
    except ModelError as error:
        return (), str(error)
    modules = [model.module.get_submodule(block.path) for block in blocks]
    if not modules or len({id(module) for module in modules}) != len(modules):
        return (), "blocks share their weights"
    calls, outputs = _trace(model, batch, modules)
    if len(calls) != len(modules):
        return (), f"{len(modules)} blocks, but {len(calls)} calls of blocks in a run"
    for index in range(1, len(blocks)):
        same_stack = blocks[index].stack == blocks[index - 1].stack
        if same_stack and not _follows(calls[index], calls[index - 1], outputs[index - 1]):
            return (), f"{blocks[index].path} doesn't take the output of the block before it and nothing else new"
    return blocks, None


def by_block(
    model: Model, batches: Sequence[Batch], order: Sequence[str], blocks: Sequence[Block], *, gram: bool
) -> Statistics:
    """Statistics of ``model`` as the caller changes it; ``order`` is ``running_order``'s, ``blocks`` in a chain."""
    inside = [path for path in order if any(path.startswith(f"{block.path}.") for block in blocks)]
    start = order.index(inside[0]) if inside else len(order)
    yield from one_shot(model, batches, order[:start], gram=gram)
    calls: list[Call] = []
    for block, before in zip(blocks, (None, *blocks[:-1]), strict=True):
        module = model.module.get_submodule(block.path)
        if before is None or block.stack != before.stack:  # what lies between two stacks is the model's own
            calls = [_first_call(model, batch, module) for batch in batches]
        numbered = [Batch((torch.tensor(number),), batch.indices, batch.real) for number, batch in enumerate(batches)]
        for group in _groups(block, inside):
            runner = _BlockRunner(model.module, module, calls, group[-1] if group[-1] in block.linears else None)
            alone = replace(model, module=runner, signature=replace(model.signature, task=TaskSpec("tensors")))
            yield from one_shot(alone, numbered, group, gram=gram)
        with torch.inference_mode():
            calls = [_with_hidden(call, _hidden(module(*call.args, **call.kwargs))) for call in calls]
    yield from one_shot(model, batches, [path for path in order[start:] if path not in inside], gram=gram)


class _BlockRunner(torch.nn.Module):
    """One block, called by a batch's number; holds the whole model so that its layers keep their paths.

    With ``last`` a run ends when that layer's input is known; what comes after it needn't be computed.
    """

    def __init__(self, model: torch.nn.Module, block: torch.nn.Module, calls: Sequence[Call], last: str | None) -> None:
        super().__init__()
        for name, child in model.named_children():
            self.add_module(name, child)
        self._call_block = block.__call__  # not the block itself, which would become a second child
        self._calls = calls
        self._last = last

    def forward(self, number: torch.Tensor) -> torch.Tensor:
        call = self._calls[int(number)]
        if self._last is None:
            return _hidden(self._call_block(*call.args, **call.kwargs))
        handle = self.get_submodule(self._last).register_forward_pre_hook(_stop)  # after the hooks that read inputs
        try:
            self._call_block(*call.args, **call.kwargs)
        except _StopError:
            pass
        finally:
            handle.remove()
        return number


class _StopError(Exception):
    """Ends a run once the call that was waited for is known."""


def _stop(_: torch.nn.Module, args: tuple[Any, ...]) -> None:
    raise _StopError


def _first_call(model: Model, batch: Batch, block: torch.nn.Module) -> Call:
    found: list[Call] = []

    def keep(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.append(Call(args, dict(kwargs)))
        raise _StopError

    handle = block.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        with torch.inference_mode():
            model.callable_module()(*batch.tensors)
    except _StopError:
        pass
    finally:
        handle.remove()
    return found[0]


def _trace(model: Model, batch: Batch, modules: Sequence[torch.nn.Module]) -> tuple[list[Call], list[torch.Tensor]]:
    """Each module's call and output in one run; fewer entries than modules where one doesn't run."""
    calls: list[Call] = []
    outputs: list[torch.Tensor] = []

    def keep(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        calls.append(Call(args, dict(kwargs)))
        outputs.append(_hidden(output))

    handles = [module.register_forward_hook(keep, with_kwargs=True) for module in modules]
    try:
        with torch.inference_mode():
            model.callable_module()(*batch.tensors)
    finally:
        for handle in handles:
            handle.remove()
    return calls, outputs


def _follows(call: Call, before: Call, output: torch.Tensor) -> bool:
    """Whether ``call`` is ``before`` with its first argument replaced by ``output``."""
    expected = _with_hidden(before, output)
    if len(call.args) != len(expected.args) or call.kwargs.keys() != expected.kwargs.keys():
        return False
    pairs = [*zip(call.args, expected.args, strict=True)]
    pairs += [(value, expected.kwargs[name]) for name, value in call.kwargs.items()]
    return all(_equal(a, b) for a, b in pairs)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return torch.equal(a, b)
    return a is b or bool(a == b)


def _with_hidden(call: Call, hidden: torch.Tensor) -> Call:
    if call.args:
        return replace(call, args=(hidden, *call.args[1:]))
    return replace(call, kwargs={**call.kwargs, "hidden_states": hidden})


def _hidden(output: Any) -> torch.Tensor:
    """Hidden states [B, S, C] of a block's output, which some families put first in a tuple."""
    hidden: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


def _groups(block: Block, paths: Sequence[str]) -> list[list[str]]:
    """A block's layers among ``paths``, in their order; those of one group read the same input."""
    known = [
        {block.query, block.key, block.value},
        {*block.with_heads},
        {block.output},
        {*block.up},
        {block.down},
    ]
    other = {path for path in paths if path.startswith(f"{block.path}.") and path not in block.linears}
    groups = [[path for path in paths if path in group] for group in [*known, other]]
    return [group for group in groups if group]


def _groups_that_fit(model: Model, paths: Sequence[str], gram: bool) -> Iterator[list[str]]:
    group: list[str] = []
    held = 0
    for path in paths:
        columns = int(model.module.get_submodule(path).in_features)  # type: ignore[arg-type]
        size = 8 * columns * columns if gram else 0
        if group and held + size > _GRAM_BYTES:
            yield group
            group, held = [], 0
        group.append(path)
        held += size
    if group:
        yield group
