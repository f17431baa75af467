"""What flows into layers on calibration rows: the statistics that pruning, GPTQ and smoothing choose by.

Legend: C input channels, N real token positions of all rows (padding doesn't count).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ..data.batching import Batch
from ..errors import InputError
from ..model.base import Model


@dataclass(frozen=True)
class InputStatistics:
    """Sums over the inputs of one linear layer. ``gram`` is None unless asked for."""

    count: int  # N
    abs_max: torch.Tensor  # float32 [C]
    mean: torch.Tensor  # float64 [C]
    square_mean: torch.Tensor  # float64 [C]: mean of x², so that sqrt(N · it) is Wanda's norm
    gram: torch.Tensor | None  # float64 [C, C]: XᵀX / N


class _Sums:
    def __init__(self, columns: int, gram: bool) -> None:
        self.count = 0
        self.abs_max = torch.zeros(columns)
        self.total = torch.zeros(columns, dtype=torch.float64)
        self.squares = torch.zeros(columns, dtype=torch.float64)
        self.gram = torch.zeros(columns, columns, dtype=torch.float64) if gram else None

    def add(self, x: torch.Tensor) -> None:
        """``x`` is float32 [N, C]."""
        self.count += x.shape[0]
        self.abs_max = torch.maximum(self.abs_max, x.abs().amax(dim=0))
        self.total += x.sum(dim=0, dtype=torch.float64)
        self.squares += x.square().sum(dim=0, dtype=torch.float64)
        if self.gram is not None:
            # float32 products, float64 sums: a product over one batch is exact enough and five times faster
            self.gram += (x.T @ x).double()

    def statistics(self) -> InputStatistics:
        count = max(self.count, 1)
        gram = None if self.gram is None else self.gram / count
        return InputStatistics(self.count, self.abs_max, self.total / count, self.squares / count, gram)


def input_statistics(
    model: Model,
    batches: Sequence[Batch],
    paths: Iterable[str],
    *,
    gram: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, InputStatistics]:
    """Statistics of the inputs of the linears at ``paths``, from one run over ``batches``.

    Raises:
        InputError: NaN or infinite activations, naming the layer they enter.
    """
    layers = {path: model.module.get_submodule(path) for path in paths}
    sums: dict[str, _Sums] = {}

    def add(path: str, x: torch.Tensor, real: torch.Tensor | None) -> None:
        flat = _real_positions(x, real)
        if not torch.isfinite(flat).all():
            raise InputError(
                f"layer {path}: NaN or infinite activations on calibration rows: check the model's weights"
            )
        if path not in sums:
            sums[path] = _Sums(flat.shape[1], gram)
        sums[path].add(flat)

    run_with_inputs(model, batches, layers, add, progress)
    missing = [path for path in layers if path not in sums]
    if missing:
        raise InputError(f"layer {missing[0]}: never ran on the calibration rows, so nothing is known of its inputs")
    return {path: found.statistics() for path, found in sums.items()}


def run_with_inputs(
    model: Model,
    batches: Sequence[Batch],
    layers: dict[str, torch.nn.Module],
    use: Callable[[str, torch.Tensor, torch.Tensor | None], None],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Run the model; ``use(path, x, real)`` is called with each layer's first input and the batch's real positions."""
    module = model.callable_module()
    current: list[torch.Tensor | None] = [None]
    with ExitStack() as stack, torch.inference_mode():
        for path, layer in layers.items():
            stack.enter_context(_hooked(layer, lambda _, inputs, path=path: use(path, inputs[0], current[0])))
        for number, batch in enumerate(batches, start=1):
            current[0] = batch.real
            module(*batch.tensors)
            progress(number, len(batches))


@contextmanager
def _hooked(layer: torch.nn.Module, hook: Callable[..., Any]) -> Iterator[None]:
    handle = layer.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _real_positions(x: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
    """float32 [N, C]: a [B, S, C] tensor without its padding; other shapes (a pooled [B, C]) have none."""
    if real is not None and x.dim() == 3 and x.shape[:2] == real.shape:
        return x[real].float()
    return x.reshape(-1, x.shape[-1]).float()
