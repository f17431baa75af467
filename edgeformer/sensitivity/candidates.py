"""The quantized forms of a model's layers, put in place one by one or together, and taken out again.

Only the rows of a table that the calibration rows use are quantized: each row has scales of its own, so the others
change nothing, and MiniLM's 30,522 rows would otherwise take most of a profile's time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from edgeformer_converters.ops import IntegerWeight, WeightFormat

from ..data.batching import Batch
from ..errors import InputError
from ..model.base import Model
from ..probing.activations import InputStatistics
from ..probing.layer_inputs import one_shot
from ..quantization import NEEDS_INPUTS, quantizer_for

FLOAT = "float32"
FLOAT_BYTES = 4
_SCALE_BYTES = 2  # float16, what every format stores


def stored_bytes(shape: tuple[int, int], format: str) -> int:
    """Bytes of a weight [R, C] in ``format`` as ``IntegerWeight.size_bytes`` counts them; 4 a number for float32."""
    rows, columns = shape
    if format == FLOAT:
        return FLOAT_BYTES * rows * columns
    parsed = WeightFormat.parse(format)
    groups = 1 if parsed.block_size is None else columns // parsed.block_size
    scales = 1 if parsed.granularity == "tensor" else rows * groups
    return rows * columns * parsed.bits // 8 + scales * (_SCALE_BYTES + (0 if parsed.symmetric else 1))


@dataclass(frozen=True)
class _Usage:
    """How a layer takes part in a run."""

    calls: int
    rows: torch.Tensor | None  # int64, the rows of a table that were looked up


class Candidates:
    """A private copy of a model whose layers can be swapped for their quantized forms.

    Args:
        model: left as it is.
        paths: the linears and embeddings that may be changed.
        algorithm: a name in QUANTIZERS.
        batches: the rows that will be run; they decide which rows of a table matter.
    """

    def __init__(self, model: Model, paths: Sequence[str], algorithm: str, batches: Sequence[Batch]) -> None:
        self.model = model.with_module(model.copy_module())
        self.algorithm = algorithm
        self._batches = batches
        self._layers = {path: self.model.module.get_submodule(path) for path in paths}
        self._untie()
        self._usage = self._observe()
        self._made: dict[tuple[str, str], IntegerWeight] = {}

    def calls(self, path: str) -> int:
        """How often one run calls the layer: 0 for a layer that the outputs don't depend on."""
        return self._usage[path].calls

    def layer(self, path: str) -> torch.nn.Module:
        """The private copy's layer."""
        return self._layers[path]

    def shape(self, path: str) -> tuple[int, int]:
        """[R, C] of the layer's weight."""
        rows, columns = _weight(self._layers[path]).shape
        return int(rows), int(columns)

    def refusal(self, path: str, format: str) -> str | None:
        """Why the layer can't have the format; None when it can."""
        block = None if format == FLOAT else WeightFormat.parse(format).block_size
        columns = self.shape(path)[1]
        if block is not None and columns % block:
            return f"{columns} input channels can't be cut into blocks of {block}"
        return None

    def prepare(
        self, wanted: Sequence[tuple[str, str]], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> None:
        """Make the integers of each (path, format) that aren't made yet; of a table, for the rows in use.

        Raises:
            InputError: the algorithm refuses, naming the layer.
        """
        missing = [key for key in wanted if key not in self._made and key[1] != FLOAT]
        done = 0
        for path, inputs in self._with_inputs(list(dict.fromkeys(path for path, _ in missing))):
            for format in (format for other, format in missing if other == path):
                try:
                    self._made[path, format] = self._quantize(path, format, inputs)
                except InputError as error:
                    raise InputError(f"layer {path}: {error}") from error
                done += 1
                progress(done, len(missing))

    def _with_inputs(self, paths: Sequence[str]) -> Iterator[tuple[str, InputStatistics | None]]:
        """Each path, with what flows into the layer where the algorithm chooses by it."""
        known: list[str] = []
        if self.algorithm in NEEDS_INPUTS:
            known = [p for p in paths if isinstance(self._layers[p], torch.nn.Linear) and self.calls(p)]
        yield from ((path, None) for path in paths if path not in known)
        yield from one_shot(self.model, self._batches, known, gram=True)

    def _quantize(self, path: str, format: str, inputs: InputStatistics | None) -> IntegerWeight:
        weight = _weight(self._layers[path]).detach().float()
        used = self._rows_to_change(path, format)
        array = (weight if used is None else weight[used]).numpy()
        return quantizer_for(self.algorithm, has_inputs=inputs is not None)(array, WeightFormat.parse(format), inputs)

    @contextmanager
    def swapped(self, formats: Mapping[str, str]) -> Iterator[None]:
        """The layers named in ``formats`` (path → format) changed, all at once; as before when the block ends."""
        self.prepare(list(formats.items()))
        restore: list[Callable[[], None]] = []
        try:
            with torch.no_grad():
                for path, format in formats.items():
                    if format != FLOAT:
                        restore.append(self._swap(path, format))
            yield
        finally:
            with torch.no_grad():
                for undo in restore:
                    undo()

    def _swap(self, path: str, format: str) -> Callable[[], None]:
        parameter, used = _weight(self._layers[path]), self._rows_to_change(path, format)
        new = torch.from_numpy(self._made[path, format].dequantize())
        original = parameter.data
        if used is None:
            parameter.data = new

            def undo() -> None:
                parameter.data = original
        else:
            rows = original[used].clone()
            original[used] = new

            def undo() -> None:
                original[used] = rows

        return undo

    def _rows_to_change(self, path: str, format: str) -> torch.Tensor | None:
        """The rows of a table that are in use; None for all rows (one scale for all needs them all)."""
        rows = self._usage[path].rows
        return None if rows is None or WeightFormat.parse(format).granularity == "tensor" else rows

    def _untie(self) -> None:
        """Two layers that share a parameter are quantized apart, as the quantize pass does."""
        seen: set[int] = set()
        for layer in self._layers.values():
            if id(_weight(layer)) in seen:
                layer.weight = torch.nn.Parameter(_weight(layer).detach().clone(), requires_grad=False)
            seen.add(id(_weight(layer)))

    def _observe(self) -> dict[str, _Usage]:
        """One run over the rows for tables, over the first batch for the rest."""
        found = {path: _Usage(0, None) for path in self._layers}
        tables: dict[str, list[torch.Tensor]] = {}

        def noted(path: str, layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            found[path] = replace(found[path], calls=found[path].calls + 1)
            if isinstance(layer, torch.nn.Embedding):
                tables.setdefault(path, []).append(torch.unique(inputs[0]))

        handles = [
            layer.register_forward_pre_hook(lambda layer, inputs, path=path: noted(path, layer, inputs))
            for path, layer in self._layers.items()
        ]
        module = self.model.callable_module()
        try:
            with torch.inference_mode():
                for batch in self._batches:
                    module(*batch.tensors)
        finally:
            for handle in handles:
                handle.remove()
        return {
            path: _Usage(
                -(-usage.calls // len(self._batches)), torch.unique(torch.cat(tables[path])) if path in tables else None
            )
            for path, usage in found.items()
        }


def _weight(layer: torch.nn.Module) -> torch.nn.Parameter:
    weight = layer.weight
    if not isinstance(weight, torch.nn.Parameter):
        raise InputError(f"expected a linear or an embedding, got {type(layer).__name__}")
    return weight
