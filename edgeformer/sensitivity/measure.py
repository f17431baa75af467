"""Sensitivity profile: the damage to a model's outputs when one layer alone takes a format.

Each batch runs once as a whole; a layer's evaluation then starts at the layer's own block. ``blocks_after`` bounds how
many blocks are run behind that one: the rest of the way to the outputs is followed by its gradient at the float
model, so that a profile of L layers costs O(L), not O(L²). None runs every layer's change to the outputs themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ..data.batching import Batch, BatchOutputs, padded_batches
from ..data.encoded import EncodedSamples
from ..errors import InputError
from ..families import architecture_for
from ..model.base import Model
from ..model.layers import quantizable_layers
from ..probing.prefix_replay import PrefixReplay
from ..tasks import RowOutputs, get_task
from ..terminal.countdown import Countdown
from .candidates import FLOAT, FLOAT_BYTES, Candidates, stored_bytes
from .damage import Damage, damage, directions, linear_damage, whitened
from .profile import FormatEntry, LayerProfile, Profile, shrinkage

# Tokens of a batch: enough to keep matrix products busy, few enough that a batch's activations stay small.
TOKENS_A_BATCH = 2048
DEFAULT_BLOCKS_AFTER = 0
Progress = Callable[[str], None]
# (block index, pruning ratio) → the model with that block alone pruned
PruneBlock = Callable[[int, float], Model]


@dataclass(frozen=True)
class ProfileSettings:
    """What is tried, and how exactly.

    ``blocks_after``: blocks run behind the changed one before the gradient takes over; None for none of that.
    ``metric``: also the task's metric on labelled rows, which needs whole runs.
    """

    formats: tuple[str, ...]
    algorithm: str = "mse"
    blocks_after: int | None = DEFAULT_BLOCKS_AFTER
    metric: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.formats:
            raise InputError("sensitivity: no formats were given: name at least one, e.g. int8,int4")
        if self.blocks_after is not None and self.blocks_after < 0:
            raise InputError(f"sensitivity: blocks_after = {self.blocks_after}: expected 0 or more, or none")


def profile_batches(model: Model, rows: EncodedSamples) -> list[Batch]:
    """The rows in batches of about ``TOKENS_A_BATCH`` tokens."""
    longest = max(model.signature.row_length(row) for row in rows.feeds)
    return padded_batches(model, rows, max(1, min(32, TOKENS_A_BATCH // int(longest))))


def profile(
    model: Model,
    rows: EncodedSamples,
    settings: ProfileSettings,
    *,
    progress: Progress = lambda message: None,
    prune: tuple[PruneBlock, Sequence[float]] | None = None,
    candidates: Candidates | None = None,
) -> Profile:
    """Measure the damage of every layer in every format on ``rows``.

    Args:
        model: in floats; left as it is.
        rows: calibration rows; with ``settings.metric`` they need labels.
        settings: formats, algorithm, exactness.
        progress: called with lines that say how far it is and how long it will take.
        prune: a function that prunes one block by a ratio, and the ratios to try.
        candidates: the layers' quantized forms, to share them with a later evaluation.

    Raises:
        InputError: no rows, no labels for the metric, NaN in weights or outputs.
    """
    if not rows.feeds:
        raise InputError("sensitivity: there are no rows to measure on")
    if settings.metric and rows.targets is None:
        raise InputError("sensitivity: the metric needs labelled rows; these have none")
    batches = profile_batches(model, rows)
    paths = list(quantizable_layers(model.module))
    candidates = candidates or Candidates(model, paths, settings.algorithm, batches)
    pairs = [(p, f) for p in paths for f in settings.formats if f != FLOAT and candidates.refusal(p, f) is None]
    candidates.prepare(pairs, Countdown(progress, "sensitivity: quantizing").at)
    measured = _Measurement(candidates, settings, pairs)
    clock = Countdown(progress, "sensitivity: measuring")
    for number, batch in enumerate(batches):
        measured.add(batch, partial(clock.at_part, number, len(batches)))
    return Profile(
        model_name=model.name,
        model_digest=model.digest(),
        rows_digest=rows.digest(),
        rows=len(rows.feeds),
        formats=settings.formats,
        algorithm=settings.algorithm,
        blocks_after=settings.blocks_after,
        damage_unit=get_task(model.task).damage_unit,
        layers=tuple(_layer(path, candidates, measured, settings, rows) for path in paths),
        interactions=measured.interactions(),
        interactions_weight=measured.interactions_weight(),
        replay_reason=measured.replay.reason,
        metric_unchanged=measured.metric(None, rows),
        prune=_prune(model, rows, batches, prune, progress),
    )


class _Measurement:
    """Sums over batches of each (path, format)'s damage."""

    def __init__(self, candidates: Candidates, settings: ProfileSettings, pairs: Sequence[tuple[str, str]]) -> None:
        self.candidates = candidates
        self.settings = settings
        self.pairs = pairs
        self.replay = PrefixReplay(candidates.model)
        self.sums: dict[tuple[str, str], Damage] = {pair: Damage() for pair in pairs}
        # of rows at even and at odd places, to see how far both agree
        self._products = torch.zeros(2, len(pairs), len(pairs), dtype=torch.float64)
        self._weight = 0.0
        self._rows: dict[tuple[str, str] | None, dict[int, RowOutputs]] = {}
        self._windows = {path: self._window(path) for path in dict.fromkeys(path for path, _ in pairs)}

    def add(self, batch: Batch, progress: Callable[[int, int], None]) -> None:
        """Evaluate every pair on one batch."""
        task = get_task(self.candidates.model.task)
        expected = self.replay.record(batch)
        self._keep_rows(None, batch, expected)
        generator = torch.Generator().manual_seed(self.settings.seed + batch.indices[0])
        along = directions(task, expected, batch.real, generator)
        gradients: dict[int, torch.Tensor] = {}
        if any(stop is not None for _, stop in self._windows.values()):
            gradients = self.replay.gradients(lambda _: along)
        changes = torch.zeros(len(self.pairs), len(along), len(batch.indices), dtype=torch.float64)
        for done, (path, format) in enumerate(self.pairs, start=1):
            progress(done, len(self.pairs))
            if self.candidates.calls(path):
                with self.candidates.swapped({path: format}):
                    found, changes[done - 1] = self._evaluate(path, format, batch, expected, along, gradients)
                self.sums[path, format] += found
        weight = damage(task, expected, expected, batch.real).weight
        white = torch.stack([whitened(task, expected, change) for change in changes])  # [pairs, D, B]
        for half in (0, 1):
            flat = white[..., half::2].flatten(1)
            self._products[half] += 0.5 * flat @ flat.T
        self._weight += weight

    def _evaluate(
        self,
        path: str,
        format: str,
        batch: Batch,
        expected: BatchOutputs,
        along: Sequence[BatchOutputs],
        gradients: Mapping[int, torch.Tensor],
    ) -> tuple[Damage, torch.Tensor]:
        """The pair's damage, and its first-order change of the outputs, float64 [D, B]."""
        task = get_task(self.candidates.model.task)
        start, stop = self._windows[path]
        if stop is None:
            outputs = self.replay.run(start)
            self._keep_rows((path, format), batch, outputs)
            return damage(task, expected, outputs, batch.real), _projected(along, expected, outputs)
        change = self.replay.run_until(start, stop) - self.replay.hidden_before(stop)
        found = (gradients[stop] * change).flatten(2).sum(dim=-1, dtype=torch.float64)
        return linear_damage(task, expected, found, batch.real), found

    def _window(self, path: str) -> tuple[int, int | None]:
        """The block to start at, and the one to stop before; None to run to the outputs."""
        after, blocks = self.settings.blocks_after, self.replay.blocks
        block = self.replay.block_of(path)
        role = architecture_for(self.candidates.model.architecture).role(path)
        if block is None and role in ("pooler", "head") and blocks:
            return blocks, None
        # a layer that is called more than once, or whose result reaches blocks by a way of its own, is run to the end
        elsewhere = self.candidates.calls(path) > 1 or (block is None and role != "embedding")
        start = block or 0
        stop = (-1 if block is None else block) + 1 + (after or 0)
        if after is None or self.settings.metric or elsewhere or not blocks or not self.replay.follows(block, stop):
            return (0 if elsewhere else start), None
        return start, max(stop, 1)

    def interactions(self) -> tuple[tuple[float, ...], ...]:
        """Below the diagonal: half of what two pairs, in the order of ``pairs``, damage beyond the sum of both."""
        matrix = (self._products.sum(0) / (self._weight or 1.0)).tolist()
        return tuple(tuple(row[:index]) for index, row in enumerate(matrix))

    def interactions_weight(self) -> float:
        """The share of the interactions to expect on other rows."""
        paths = [path for path, _ in self.pairs]
        apart = np.array([[a != b for b in paths] for a in paths], dtype=bool).reshape(len(paths), len(paths))
        first, second = self._products.numpy()
        return shrinkage(first[apart], second[apart])

    def _keep_rows(self, key: tuple[str, str] | None, batch: Batch, outputs: BatchOutputs) -> None:
        if not self.settings.metric:
            return
        names = [spec.name for spec in self.candidates.model.outputs]
        rows = self._rows.setdefault(key, {})
        for position, index in enumerate(batch.indices):
            rows[index] = _row(names, outputs, position, batch)

    def metric(self, key: tuple[str, str] | None, rows: EncodedSamples) -> float | None:
        """The task's metric for a pair, or None for the unchanged model; None when it wasn't asked for."""
        if key not in self._rows or rows.targets is None:
            return None
        outputs = [self._rows[key][index] for index in range(len(rows.feeds))]
        found = get_task(self.candidates.model.task).metric(outputs, rows.targets)
        return found.value if found else None


def _projected(along: Sequence[BatchOutputs], expected: BatchOutputs, outputs: BatchOutputs) -> torch.Tensor:
    """float64 [D, B]: Σ u·(z' − z) of each row for each direction u."""
    changes = [(after.double() - before.double()) for before, after in zip(expected, outputs, strict=True)]
    return torch.stack(
        [torch.stack([(u * c).flatten(1).sum(-1) for u, c in zip(d, changes, strict=True)]).sum(0) for d in along]
    )


def _row(names: Sequence[str], outputs: BatchOutputs, position: int, batch: Batch) -> RowOutputs:
    """One row's outputs without padding."""
    length = None if batch.real is None else int(batch.real[position].sum())
    made = {}
    for name, tensor in zip(names, outputs, strict=True):
        row = tensor[position]
        by_token = length is not None and batch.real is not None and row.shape[:1] == batch.real.shape[1:]
        made[name] = (row[:length] if by_token else row).float().numpy().copy()
    return made


def _layer(
    path: str, candidates: Candidates, measured: _Measurement, settings: ProfileSettings, rows: EncodedSamples
) -> LayerProfile:
    shape = candidates.shape(path)
    architecture = architecture_for(candidates.model.architecture)
    entries: dict[str, FormatEntry] = {}
    for format in settings.formats:
        refusal = candidates.refusal(path, format)
        if refusal is not None:
            entries[format] = FormatEntry(None, None, None, refusal)
        elif format == FLOAT:
            entries[format] = FormatEntry(0.0, stored_bytes(shape, FLOAT), measured.metric(None, rows), None)
        else:
            pair = (path, format)
            entries[format] = FormatEntry(
                measured.sums[pair].mean, stored_bytes(shape, format), measured.metric(pair, rows), None
            )
    return LayerProfile(
        path=path,
        role=architecture.role(path),
        block=measured.replay.block_of(path),
        shape=shape,
        kind="embedding" if isinstance(candidates.layer(path), torch.nn.Embedding) else "linear",
        size_bytes_float32=FLOAT_BYTES * shape[0] * shape[1],
        formats=entries,
    )


def _prune(
    model: Model,
    rows: EncodedSamples,
    batches: Sequence[Batch],
    prune: tuple[PruneBlock, Sequence[float]] | None,
    progress: Progress,
) -> dict[int, dict[float, float]]:
    if prune is None:
        return {}
    function, ratios = prune
    blocks = PrefixReplay(model).blocks
    clock = Countdown(progress, "sensitivity: pruning blocks")
    expected = run_batches(model, batches)
    found: dict[int, dict[float, float]] = {}
    for index in range(blocks):
        for number, ratio in enumerate(ratios, start=1):
            outputs = run_batches(function(index, ratio), batches)
            found.setdefault(index, {})[ratio] = total_damage(model, batches, expected, outputs)
            clock.at(index * len(ratios) + number, blocks * len(ratios))
    return found


def run_batches(model: Model, batches: Sequence[Batch]) -> list[BatchOutputs]:
    """The outputs of every batch."""
    module = model.callable_module()
    with torch.inference_mode():
        return [module(*batch.tensors) for batch in batches]


def total_damage(
    model: Model, batches: Sequence[Batch], expected: Sequence[BatchOutputs], outputs: Sequence[BatchOutputs]
) -> float:
    """The damage over all batches."""
    total = Damage()
    for batch, a, b in zip(batches, expected, outputs, strict=True):
        total += damage(get_task(model.task), a, b, batch.real)
    return total.mean


class PlanEvaluator:
    """The true damage of whole plans, path → format, on the rows that a profile was measured on."""

    def __init__(self, candidates: Candidates, batches: Sequence[Batch]) -> None:
        self._candidates, self._batches = candidates, batches
        self._expected = run_batches(candidates.model, batches)

    def damage(self, formats: Mapping[str, str]) -> float:
        """All layers changed at once; layers that are not named stay floats."""
        with self._candidates.swapped(formats):
            outputs = run_batches(self._candidates.model, self._batches)
        return total_damage(self._candidates.model, self._batches, self._expected, outputs)
