"""Every variant, executed, against the compressed torch model and against the labels.

cosine, max_abs_error    variant against the compressed torch model: did the export change anything?
metric, agreement        variant against the labels and the uncompressed model: did the compression?
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgeformer_converters.base import converter_of
from edgeformer_converters.chunked_attention import local_layers
from edgeformer_runtime.bundle.manifest import SEQUENCE, TaskSpec, VariantEntry, Verification
from edgeformer_runtime.variants.graphs import Runner, open_runner
from edgeformer_runtime.variants.self_check import similarities

from ..data.encoded import EncodedSamples, Feeds
from ..evaluation.paired import paired_facts
from ..model.base import Model
from ..model.signature import Signature
from ..tasks import Metric, RowOutputs, get_task
from .predictions import predictions

Outputs = list[dict[str, NDArray[np.float32]]]
_TORCH_BATCH = 16
# pairs of positions that run together: full attention has a weight for each of them in every head
_TORCH_PAIRS = 16 * 512 * 512


@dataclass(frozen=True)
class Reference:
    """What the uncompressed and the compressed torch model say of the samples.

    The two encodings of the same rows differ only where the vocabulary was trimmed.
    """

    samples: EncodedSamples
    uncompressed_samples: EncodedSamples
    uncompressed: Outputs
    compressed: Outputs


def run_torch(model: Model, feeds: Sequence[Feeds]) -> Outputs:
    """Outputs of the torch model, {name: float32 array without the batch dimension} for each row.

    Rows of equal shapes run together: float arithmetic keeps them apart, unlike integer activations.
    """
    module = model.callable_module()
    names = [spec.name for spec in model.inputs]
    results: dict[int, dict[str, NDArray[np.float32]]] = {}
    with torch.inference_mode():
        for group in _equal_shapes(model.signature, feeds):
            arrays = (np.concatenate([np.asarray(feeds[index][name]) for index in group]) for name in names)
            tensors = module(*(torch.from_numpy(array) for array in arrays))
            for row, index in enumerate(group):
                results[index] = {
                    spec.name: t[row].float().numpy() for spec, t in zip(model.outputs, tensors, strict=True)
                }
    return [results[index] for index in range(len(feeds))]


def _equal_shapes(signature: Signature, feeds: Sequence[Feeds]) -> list[list[int]]:
    """Indices of rows in groups of equal shapes, at most ``_TORCH_BATCH`` in one, fewer beyond 512 positions."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, row in enumerate(feeds):
        groups.setdefault(tuple(np.shape(array) for array in row.values()), []).append(index)
    made = []
    for group in groups.values():
        size = max(1, min(_TORCH_BATCH, _TORCH_PAIRS // signature.row_length(feeds[group[0]]) ** 2))
        made += [group[start : start + size] for start in range(0, len(group), size)]
    return made


def decisive_length(entry: VariantEntry, length: int) -> int | None:
    """The length by which ``entry`` chooses full or local attention for a text of ``length`` positions, where that is
    not the text's own: static files pad it to one of theirs.
    """
    decided_by = entry.full_attention.decided_by if entry.full_attention is not None else None
    if decided_by == "signature":
        return min((known for known in entry.lengths_of(SEQUENCE) if known >= length), default=None)
    return decided_by if type(decided_by) is int else None


def run_torch_as(model: Model, entry: VariantEntry, feeds: Sequence[Feeds], known: Outputs | None = None) -> Outputs:
    """Outputs of the torch model, its attention full or local for each row as ``entry`` has it.

    ``known``: what ``run_torch`` gave for the same rows; only those that come out otherwise are computed again.
    """
    layers = local_layers(model.module).values()
    bounds = [layer.pattern.dense_below for layer in layers]
    outputs = list(run_torch(model, feeds) if known is None else known)
    others: dict[int, list[int]] = {}
    for index, row in enumerate(feeds):
        length = next((int(np.shape(array)[1]) for array in row.values() if np.ndim(array) > 1), 0)
        decided = decisive_length(entry, length)
        if decided is not None and any((length < bound) != (decided < bound) for bound in bounds):
            others.setdefault(decided, []).append(index)
    for decided, indices in others.items():
        try:
            for layer in layers:
                layer.ruled_at = decided
            for index, found in zip(indices, run_torch(model, [feeds[index] for index in indices]), strict=True):
                outputs[index] = found
        finally:
            for layer in layers:
                layer.ruled_at = None
    return outputs


def open_variant(
    signature: Signature, entry: VariantEntry, file: Callable[[str], Path], threads: int
) -> tuple[Runner, bool]:
    """The variant in an engine of this machine, and whether that engine is the one that devices use.

    ``file`` gives the place of a model file of the bundle.
    """
    host = converter_of(entry).host_engine()
    runner = open_runner(
        entry, signature.inputs, signature.outputs, lambda path, graph: host.load(file(path), graph, threads)
    )
    return runner, host.as_on_device


def run_variant(
    signature: Signature,
    entry: VariantEntry,
    file: Callable[[str], Path],
    feeds: Sequence[Feeds],
    threads: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Outputs, str, bool]:
    """Outputs of a variant for each row, what executed it, and whether that is what devices use."""
    runner, on_device = open_variant(signature, entry, file, threads)
    outputs: Outputs = []
    try:
        for index, row in enumerate(feeds):
            result = runner.run(row)
            outputs.append({name: np.asarray(array[0], np.float32) for name, array in result.items()})
            progress(index + 1, len(feeds))
    finally:
        runner.close()
    return outputs, f"{runner.label}, {platform.machine()}", on_device


def verify(
    model: Model,
    entry: VariantEntry,
    file: Callable[[str], Path],
    reference: Reference,
    threads: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Verification, dict[str, Any] | None, list[dict[str, Any] | None] | None]:
    """Execute a variant on every sample and compare; with ``paired_facts`` against the uncompressed model, and with
    the variant's ``predictions``.
    """
    as_variant = run_torch_as(model, entry, reference.samples.feeds, reference.compressed)
    reference = replace(reference, compressed=as_variant)
    outputs, executed_by, on_device = run_variant(
        model.signature, entry, file, reference.samples.feeds, threads, progress
    )
    judged = get_task(model.task).judged(outputs, reference.compressed)
    return (
        compare(model, outputs, reference, executed_by, on_device),
        paired_with_uncompressed(model, judged, reference),
        predictions(model, judged),
    )


def paired_with_uncompressed(model: Model, judged: Sequence[RowOutputs], reference: Reference) -> dict[str, Any] | None:
    """``evaluation.paired.paired_facts`` of a variant's outputs as ``Task.judged``; None without labels."""
    before = measure(model.task, reference.uncompressed, reference.uncompressed_samples)
    after = measure(model.task, judged, reference.samples)
    return paired_facts(before.per_sample, after.per_sample) if before and after else None


def compare(model: Model, outputs: Outputs, reference: Reference, executed_by: str, on_device: bool) -> Verification:
    """Figures of one variant's outputs."""
    cosines = [cosine(a, b) for a, b in zip(outputs, reference.compressed, strict=True)]
    errors = [
        float(np.abs(a[name] - b[name]).max()) for a, b in zip(outputs, reference.compressed, strict=True) for name in a
    ]
    alike = similarities(outputs, reference.compressed)
    judged = get_task(model.task).judged(outputs, reference.compressed)
    before = measure(model.task, reference.uncompressed, reference.uncompressed_samples)
    after = measure(model.task, judged, reference.samples)
    return Verification(
        executed_by=executed_by,
        on_device=on_device,
        samples=len(outputs),
        cosine_min=min(cosines),
        cosine_mean=float(np.mean(cosines)),
        max_abs_error=max(errors),
        agreement=get_task(model.task).agreement(judged, reference.uncompressed),
        metric_name=after.name if after else None,
        metric=after.value if after else None,
        metric_drop=before.loss_to(after) if before and after else None,
        similarity_min=min(alike),
        similarity_p01=float(np.quantile(alike, 0.01)),
    )


def measure(task: TaskSpec, outputs: Sequence[RowOutputs], samples: EncodedSamples) -> Metric | None:
    """The task's metric on labelled samples; None where there are no labels or the task has no metric."""
    return None if samples.targets is None else get_task(task).metric(outputs, samples.targets)


def cosine(first: Mapping[str, NDArray[np.float32]], second: Mapping[str, NDArray[np.float32]]) -> float:
    """Cosine of two rows of outputs, all outputs in one vector; -1 when one of them isn't finite."""
    return vector_cosine(_vector(first, second), _vector(second, second))


def _vector(row: Mapping[str, NDArray[np.float32]], names: Mapping[str, Any]) -> NDArray[np.float64]:
    """All outputs of a row in one vector."""
    return np.concatenate([row[name].reshape(-1) for name in names]).astype(np.float64)


def vector_cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    """a·b / (|a| |b|); 1 for two zero vectors, -1 for anything that isn't finite."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return -1.0
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    if norm == 0:
        return 1.0 if not a.any() and not b.any() else 0.0
    return float(np.dot(a, b) / norm)


@dataclass(frozen=True)
class LayerLoss:
    """1 - mean cosine of the outputs with the uncompressed model's: of the whole compressed model, and by layer."""

    total: float
    layers: tuple[tuple[str, float], ...]  # (path, loss when it alone is quantized), the largest first


def layer_damage(uncompressed: Model, compressed: Model, feeds: Sequence[Feeds]) -> tuple[tuple[str, float], ...]:
    """1 - mean cosine of the outputs when one layer alone is quantized, the largest first."""
    from edgeformer_converters.base import quantized_layers

    module = uncompressed.copy_module()
    probe = uncompressed.with_module(module)
    expected = run_torch(probe, feeds)
    damage = []
    for path, layer in quantized_layers(compressed.module).items():
        parent, _, leaf = path.rpartition(".")
        owner = module.get_submodule(parent)
        original = getattr(owner, leaf)
        setattr(owner, leaf, layer)
        outputs = run_torch(probe, feeds)
        setattr(owner, leaf, original)
        mean = float(np.mean([cosine(a, b) for a, b in zip(outputs, expected, strict=True)]))
        damage.append((path, 1 - mean))
    return tuple(sorted(damage, key=lambda item: -item[1]))
