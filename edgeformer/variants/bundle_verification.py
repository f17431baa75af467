"""Running the variants of a finished bundle again, on this machine, against each other and against labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeformer_converters.base import get_converter
from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.manifest import Manifest, VariantEntry
from edgeformer_runtime.errors import EngineError
from edgeformer_runtime.variants.execution import VariantRunner
from edgeformer_runtime.variants.self_check import self_check

from ..data.encoding import EncodedSamples, encode, synthetic
from ..errors import RuntimeBundleError
from ..model.base import Model
from ..rows.samples import read_samples
from ..tasks import get_task
from .verification import Outputs, cosine, measure, open_variant


def verify_variants_of(bundle: Bundle, evaluation: Path | None, progress: Callable[[str], None]) -> dict[str, Any]:
    """A row a variant; one that no engine here can run has its reason in place of figures.

    Raises:
        RuntimeBundleError: no variant at all could be executed.
    """
    model = _described(bundle)
    longest = bundle.manifest.preprocess.max_length if bundle.manifest.preprocess else 0
    if evaluation is not None:
        samples = read_samples(evaluation, model.task, evaluation=True)
        progress(f"evaluation rows: {len(samples)} of {evaluation.name}: {samples.described()}")
        rows = encode(model, samples, longest)
    else:
        rows = synthetic(model, longest)
    executed: list[tuple[VariantEntry, Outputs | None, str, str | None]] = []
    for entry in bundle.manifest.variants:
        progress(f"run {entry.name} …")
        executed.append((entry, *_run(model, bundle, entry, rows)))
    ran = [(entry, outputs) for entry, outputs, *_ in executed if outputs is not None]
    # one whose activations stay floats stands closest to the torch model
    reference = min(ran, key=lambda item: get_converter(item[0].format).integer_activations, default=None)
    if reference is None:
        reasons = "; ".join(f"{entry.name}: {reason}" for entry, _, reason, _ in executed)
        raise RuntimeBundleError(f"bundle {bundle.path}: no variant could be executed here: {reasons}")
    return {
        "bundle": str(bundle.path),
        "samples": rows.source,
        "reference": reference[0].name,
        "variants": [
            {**_row(model, entry, outputs, label, reference, rows), "golden_rows": golden}
            for entry, outputs, label, golden in executed
        ],
    }


def _described(bundle: Bundle) -> Model:
    """The manifest's description as a Model without weights, for the code that encodes and judges samples."""
    manifest: Manifest = bundle.manifest
    text = manifest.preprocess
    tokenizer = None if text is None else bundle.file(text.tokenizer).read_text(encoding="utf-8")
    return Model(
        module=_Described(tokenizer),
        name=manifest.name,
        task=manifest.task,
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        example_inputs=tuple(_example(spec.shape, spec.dtype) for spec in manifest.inputs),
        pad_token_id=text.pad_token_id if text else 0,
        tokenizer=tokenizer,
        pairs=text is not None and text.pair,
        truncation=text.truncation if text else "right",
        prompts=text.prompts if text else {},
        default_prompt=text.default_prompt if text else None,
    )


class _Described(torch.nn.Module):
    """Stands where a module is expected; only ``config.vocab_size`` is asked of it."""

    def __init__(self, tokenizer: str | None) -> None:
        super().__init__()
        size = 1000
        if tokenizer is not None:
            from tokenizers import Tokenizer

            size = Tokenizer.from_str(tokenizer).get_vocab_size()
        self.config = type("Config", (), {"vocab_size": size})()


def _example(shape: Sequence[int | str], dtype: str) -> torch.Tensor:
    return torch.ones([2 if isinstance(dim, str) else dim for dim in shape], dtype=getattr(torch, dtype))


def _run(
    model: Model, bundle: Bundle, entry: VariantEntry, rows: EncodedSamples
) -> tuple[Outputs | None, str, str | None]:
    """Outputs or None, the engine or the reason, and how the comparison with the bundle's golden rows ended.

    Raises EngineError where the engine gives others than the compile stored.
    """
    try:
        loaded, on_device = open_variant(entry, bundle.variant_path(entry), threads=1)
    except (EngineError, ImportError) as error:
        return None, str(error), None
    runner = VariantRunner(loaded, entry, model.inputs, model.outputs)
    try:
        golden = self_check(bundle, runner, None, "always").text if on_device else None
        results = [runner.run(feeds) for feeds in rows.feeds]
    finally:
        runner.close()
    outputs = [{name: np.asarray(value[0], np.float32) for name, value in row.items()} for row in results]
    return outputs, loaded.label, golden


def _row(
    model: Model,
    entry: VariantEntry,
    outputs: Outputs | None,
    label: str,
    reference: tuple[VariantEntry, Outputs],
    rows: EncodedSamples,
) -> dict[str, Any]:
    compiled = entry.verification.metric if entry.verification else None
    empty = {"samples": None, "cosine_min": None, "agreement": None, "metric": None, "executed_by": None}
    if outputs is None:
        return {"variant": entry.name, **empty, "metric_at_compile": compiled, "reason": label}
    judged = measure(model, outputs, rows)
    other, itself = reference[1], entry is reference[0]  # a variant compared with itself shows nothing
    return {
        "variant": entry.name,
        "samples": len(outputs),
        "cosine_min": None if itself else min(cosine(a, b) for a, b in zip(outputs, other, strict=True)),
        "agreement": None if itself else get_task(model.task).agreement(outputs, other),
        "metric": judged.value if judged else None,
        "metric_at_compile": compiled,
        "executed_by": label,
        "reason": None,
    }
