"""Putting a verified result into a bundle, in one step.

What is hashed depends on inputs and recipe alone; whatever is measured in time or memory goes into the reports.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.manifest import Manifest
from edgeformer_runtime.bundle.manifest_text import manifest_text
from edgeformer_runtime.bundle.writer import BundleWriter, hash_files
from edgeformer_runtime.preprocess.text import TextPreprocess

from .apps.needs import bundle_bytes_by_part
from .data.encoded import EncodedSamples
from .data.encoding import device_preprocess
from .errors import GateError
from .evaluation.paired import compare_paired, mean_interval
from .model.base import Model
from .report.data import build_report
from .report.files import write_report
from .stages import Stages
from .tasks import get_task
from .variants.export import copy_files
from .variants.gate import bundle_too_large
from .variants.golden import write_golden
from .variants.label_vectors import write_label_vectors
from .variants.outcome import Outcome
from .variants.verification import Outputs, Reference, measure
from .version import __version__


class BundleTooLargeError(GateError):
    """All variants passed, and the bundle is larger than the gate allows."""


def publish(output: Path, outcome: Outcome, stages: Stages) -> Bundle:
    """Write the bundle beside ``output`` and rename it there; an old bundle is replaced by the new one or kept.

    Raises BundleTooLargeError: nothing was published.
    """
    stages.current = "publish"
    model = outcome.pipeline.model
    with BundleWriter(output) as writer:
        for item in outcome.variants:
            copy_files(item, writer.directory)
        longest = max(outcome.recipe.export.sequence_lengths)
        preprocess = device_preprocess(model.signature, longest)
        for step in preprocess:
            if isinstance(step, TextPreprocess) and model.tokenizer is not None:
                path = writer.directory / step.tokenizer
                path.parent.mkdir(parents=True)
                path.write_text(model.tokenizer, encoding="utf-8")
        task = write_label_vectors(model, longest, writer.directory)
        write_golden(writer.directory, outcome.variants, outcome.compressed, outcome.recipe, stages)
        manifest = Manifest(
            name=model.name,
            task=task,
            inputs=model.inputs,
            outputs=model.outputs,
            files=(),
            variants=tuple(item.entry for item in outcome.variants),
            preprocess=preprocess,
            targets=tuple(target.name for target in outcome.targets),
            recipe=_portable(outcome.recipe.to_dict()),
            sources=_sources(outcome),
            metrics=_metrics(outcome),
            producer=f"edgeformer {__version__}",
        )
        # the digest that the bundle will have, so that a report says which bundle it describes
        manifest = replace(manifest, files=hash_files(writer.directory))
        text = manifest_text(manifest).encode("utf-8")
        problem = bundle_too_large(bundle_bytes_by_part(manifest), outcome.recipe.gate)
        if problem:
            raise BundleTooLargeError(problem)
        digest = hashlib.sha256(text).hexdigest()
        judged = outcome.data.evaluation.samples
        files = {row: item.file for row, item in enumerate(judged.rows if judged else (), 1) if item.file is not None}
        write_report(writer.directory, build_report(outcome, manifest, digest, stages), files)
        return writer.publish(manifest)


def _portable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without this machine's folders: where an adapter lay isn't part of what was done."""
    steps = []
    for step in recipe["steps"]:
        adapters = step.get("adapters")
        if adapters:
            step = {**step, "adapters": [{**item, "path": Path(item["path"]).name} for item in adapters]}
        steps.append(step)
    return {**recipe, "steps": steps}


def _sources(outcome: Outcome) -> dict[str, Any]:
    merged = next((record for record in outcome.pipeline.records if record.name == "merge_lora"), None)
    return {
        "model": outcome.pipeline.model.provenance.get("model"),
        "notes": list(outcome.pipeline.model.notes),
        "uncompressed_digest": outcome.pipeline.uncompressed.digest(),
        "compressed_digest": outcome.pipeline.model.digest(),
        "adapters": list(merged.facts.get("adapters", ())) if merged else [],
        "data": dict(outcome.data.facts),
    }


def _metrics(outcome: Outcome) -> dict[str, Any]:
    """Figures of the two torch models; a variant's own are in its verification."""
    reference = outcome.compressed[None].reference
    pipeline = outcome.pipeline
    return {
        "samples": len(reference.samples.feeds),
        "source": Path(reference.samples.source).name,
        "truncated": reference.samples.truncated,
        "uncompressed": {
            "size_bytes": 4 * pipeline.uncompressed.parameter_count(),
            **_metric(pipeline.model, reference.uncompressed, reference.uncompressed_samples),
        },
        "compressed": {
            **_metric(pipeline.model, reference.compressed, reference.samples),
            "agreement": get_task(pipeline.model.task).agreement(reference.compressed, reference.uncompressed),
            "drop_interval_95": _drop_interval(pipeline.model, reference),
        },
    }


def _metric(model: Model, outputs: Outputs, samples: EncodedSamples) -> dict[str, Any]:
    """Name, value and 95 % interval; nulls with a reason where nothing was measured."""
    result = measure(model.task, outputs, samples)
    if result is None:
        return {"metric_name": None, "metric": None, "reason": "no labelled evaluation data was given"}
    interval = mean_interval(result.per_sample) if result.per_sample else None
    return {
        "metric_name": result.name,
        "metric": result.value,
        "metric_interval_95": interval,
        "higher_is_better": result.higher_is_better,
    }


def _drop_interval(model: Model, reference: Reference) -> tuple[float, float] | None:
    before = measure(model.task, reference.uncompressed, reference.uncompressed_samples)
    after = measure(model.task, reference.compressed, reference.samples)
    comparison = compare_paired(before.per_sample, after.per_sample) if before and after else None
    return None if comparison is None else comparison.drop_interval_95
