"""Running the variants of a finished bundle again, on this machine, against each other and against labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeformer_converters.base import converter_of
from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.manifest import Manifest, TaskSpec, VariantEntry
from edgeformer_runtime.errors import EngineError
from edgeformer_runtime.preprocess.audio import AudioPreprocess
from edgeformer_runtime.preprocess.image_preprocess import ImagePreprocess
from edgeformer_runtime.variants.self_check import self_check

from ..data.encoded import EncodedSamples
from ..data.encoding import encode
from ..data.synthetic import synthetic
from ..errors import RuntimeBundleError
from ..model.signature import Signature, TextInput
from ..rows.samples import read_samples
from ..tasks import RowOutputs, get_task
from .label_vectors import stored_rows
from .verification import Outputs, cosine, measure, open_variant


def verify_variants_of(bundle: Bundle, evaluation: Path | None, progress: Callable[[str], None]) -> dict[str, Any]:
    """A row a variant; one that no engine here can run has its reason in place of figures.

    Raises:
        RuntimeBundleError: no variant at all could be executed.
    """
    signature = _signature(bundle)
    longest = bundle.manifest.text.max_length if bundle.manifest.text else 0
    if evaluation is not None:
        samples = read_samples(evaluation, signature.task, evaluation=True)
        progress(f"evaluation rows: {len(samples)} of {evaluation.name}: {samples.described()}")
        rows = encode(signature, samples, longest)
        if rows.noted is not None:
            progress(f"evaluation rows: {rows.noted}")
    else:
        rows = synthetic(signature, longest)
    executed: list[tuple[VariantEntry, Outputs | None, str, str | None]] = []
    for entry in bundle.manifest.variants:
        progress(f"run {entry.name} …")
        executed.append((entry, *_run(signature, bundle, entry, rows)))
    stored = stored_rows(bundle, len(rows.feeds))
    ran = [(entry, outputs) for entry, outputs, *_ in executed if outputs is not None]
    # one whose activations stay floats stands closest to the torch model
    reference = min(ran, key=lambda item: converter_of(item[0]).integer_activations, default=None)
    if reference is None:
        reasons = "; ".join(f"{entry.name}: {reason}" for entry, _, reason, _ in executed)
        raise RuntimeBundleError(f"bundle {bundle.path}: no variant could be executed here: {reasons}")
    return {
        "bundle": str(bundle.path),
        "samples": rows.source,
        "reference": reference[0].name,
        "variants": [
            {**_row(signature.task, entry, outputs, label, reference, rows, stored), "golden_rows": golden}
            for entry, outputs, label, golden in executed
        ],
    }


def _signature(bundle: Bundle) -> Signature:
    """What the manifest says of the model as a function, for the code that encodes and judges rows."""
    manifest: Manifest = bundle.manifest
    files = tuple(item for item in manifest.preprocess if isinstance(item, ImagePreprocess | AudioPreprocess))
    described = Signature(manifest.task, manifest.inputs, manifest.outputs, files)
    text = manifest.text
    if text is None:
        return described
    from tokenizers import Tokenizer

    tokenizer = bundle.file(text.tokenizer).read_text(encoding="utf-8")
    given = TextInput(
        tokenizer, text.pair, text.truncation, text.max_length, text.prompts, text.default_prompt, text.pad_to_max
    )
    vocabulary = Tokenizer.from_str(tokenizer).get_vocab_size()
    return replace(described, preprocess=(*files, given), vocabulary=vocabulary)


def _run(
    signature: Signature, bundle: Bundle, entry: VariantEntry, rows: EncodedSamples
) -> tuple[Outputs | None, str, str | None]:
    """Outputs or None, the engine or the reason, and how the comparison with the bundle's golden rows ended.

    Raises EngineError where the engine gives others than the compile stored.
    """
    try:
        runner, on_device = open_variant(signature, entry, bundle.file, threads=1)
    except (EngineError, ImportError) as error:
        return None, str(error), None
    try:
        golden = self_check(bundle, runner, None, "always").text if on_device else None
        results = [runner.run(feeds) for feeds in rows.feeds]
    finally:
        runner.close()
    outputs = [{name: np.asarray(value[0], np.float32) for name, value in row.items()} for row in results]
    return outputs, runner.label, golden


def _row(
    task: TaskSpec,
    entry: VariantEntry,
    outputs: Outputs | None,
    label: str,
    reference: tuple[VariantEntry, Outputs],
    rows: EncodedSamples,
    stored: Sequence[RowOutputs] | None,
) -> dict[str, Any]:
    compiled = entry.verification.metric if entry.verification else None
    empty = {"samples": None, "cosine_min": None, "agreement": None, "metric": None, "executed_by": None}
    if outputs is None:
        return {"variant": entry.name, **empty, "metric_at_compile": compiled, "reason": label}
    other, itself = reference[1], entry is reference[0]  # a variant compared with itself shows nothing
    decided, others = (known if stored is None else get_task(task).judged(known, stored) for known in (outputs, other))
    judged = measure(task, decided, rows)
    return {
        "variant": entry.name,
        "samples": len(outputs),
        "cosine_min": None if itself else min(cosine(a, b) for a, b in zip(outputs, other, strict=True)),
        "agreement": None if itself else get_task(task).agreement(decided, others),
        "metric": judged.value if judged else None,
        "metric_at_compile": compiled,
        "executed_by": label,
        "reason": None,
    }
