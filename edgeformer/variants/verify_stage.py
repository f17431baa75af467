"""Verification as stages of a compile: reference outputs once, then each variant."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeformer_converters.base import quantized_layers
from edgeformer_runtime.bundle.manifest import VariantEntry, Verification

from ..data.encoded import EncodedSamples
from ..data.splits import Data
from ..model.base import Model
from ..model.layers import quantizable_layers
from ..passes.base import PipelineResult
from ..stages import Stages, source_digest
from .export import Compressed, Exported
from .verification import LayerLoss, Outputs, Reference, cosine, layer_damage, run_torch, verify

_DAMAGE_ROWS = 16


def make_reference(stages: Stages, pipeline: PipelineResult, data: Data) -> Reference:
    """Outputs of the uncompressed and the compressed torch model on the evaluation rows."""
    rows, rows_before = data.evaluation.encoded(pipeline.model), data.evaluation.encoded(pipeline.uncompressed)
    if rows.noted is not None:
        stages.progress(f"evaluation rows: {rows.noted}")
    return Reference(
        samples=rows,
        uncompressed_samples=rows_before,
        uncompressed=_torch_outputs(stages, pipeline.uncompressed, rows_before),
        compressed=_torch_outputs(stages, pipeline.model, rows),
    )


def _torch_outputs(stages: Stages, model: Model, rows: EncodedSamples) -> Outputs:
    key = {"model": model.digest(), "rows": rows.digest(), "source": source_digest("edgeformer")}

    def make(directory: Path) -> Mapping[str, Any]:
        outputs = run_torch(model, rows.feeds)
        for spec in model.outputs:
            arrays: dict[str, Any] = {str(i): row[spec.name] for i, row in enumerate(outputs)}
            np.savez(directory / f"{spec.name}.npz", **arrays)
        return {}

    directory, _ = stages.directory("evaluate in torch", key, make)
    names = [spec.name for spec in model.outputs]
    arrays = {output: np.load(directory / f"{output}.npz") for output in names}
    return [{output: arrays[output][str(i)] for output in names} for i in range(len(rows.feeds))]


def verify_variants(
    stages: Stages, exported: Sequence[Exported], compressed: Mapping[str | None, Compressed], threads: int
) -> tuple[Exported, ...]:
    """Execute every variant and put the figures into its entry."""
    return tuple(_verified(stages, item, compressed[item.granularity], threads) for item in exported)


def layer_loss(stages: Stages, pipeline: PipelineResult, reference: Reference) -> LayerLoss | None:
    """What each layer loses alone, for the message of a refusal; None where passes changed more than numbers."""
    if pipeline.model.tokenizer != pipeline.uncompressed.tokenizer or _reshaped(pipeline):
        return None
    if not quantized_layers(pipeline.model.module):
        return None
    stages.progress("finding the layers that lose most …")
    pairs = zip(reference.compressed[:_DAMAGE_ROWS], reference.uncompressed[:_DAMAGE_ROWS], strict=True)
    total = 1 - float(np.mean([cosine(after, before) for after, before in pairs]))
    return LayerLoss(total, layer_damage(pipeline.uncompressed, pipeline.model, reference.samples.feeds[:_DAMAGE_ROWS]))


def _reshaped(pipeline: PipelineResult) -> bool:
    shapes = {path: layer.weight.shape for path, layer in quantizable_layers(pipeline.uncompressed.module).items()}
    after = quantized_layers(pipeline.model.module)
    return any(path not in shapes or layer.weight.shape != shapes[path] for path, layer in after.items())


def _verified(stages: Stages, item: Exported, compressed: Compressed, threads: int) -> Exported:
    rows = compressed.reference.samples
    key = {
        "exported": item.directory.name,
        "rows": rows.digest(),
        "model": compressed.model.digest(),
        "source": [source_digest(name) for name in ("edgeformer", "edgeformer_runtime", "edgeformer_converters")],
    }

    def make(_: Path) -> Mapping[str, Any]:
        def progress(done: int, total: int) -> None:
            if done in (total // 4, total // 2, 3 * total // 4) and total >= 100:
                stages.progress(f"verify {item.entry.name}: {done} of {total} samples")

        figures, paired, said = verify(compressed.model, item.entry, item.file, compressed.reference, threads, progress)
        return {"verification": dataclasses.asdict(figures), "statistics": paired, "predictions": said}

    _, result = stages.directory(f"verify {item.entry.name}", key, make)
    entry: VariantEntry = dataclasses.replace(item.entry, verification=Verification(**result["verification"]))
    kept = {key: result[key] for key in ("statistics", "predictions")}
    return dataclasses.replace(item, entry=entry, facts={**item.facts, **kept})
