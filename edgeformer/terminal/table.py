"""A bundle's variants as a table in the terminal, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.manifest import VariantEntry, in_words
from edgeformer_runtime.preprocess.registry import write_preprocess


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest cell."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def percent(share: float | None) -> str:
    """A share as a percentage, or a dash."""
    return "-" if share is None else f"{share * 100:.1f} %"


def bundle_json(bundle: Bundle) -> dict[str, Any]:
    """What `edgeformer compile --json` prints."""
    return {
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "metrics": dict(bundle.manifest.metrics),
        "notes": list(_notes(bundle)),
        "signature": {
            "inputs": [asdict(spec) for spec in bundle.manifest.inputs],
            "outputs": [asdict(spec) for spec in bundle.manifest.outputs],
        },
        "preprocess": [write_preprocess(item) for item in bundle.manifest.preprocess],
        "variants": [asdict(entry) for entry in bundle.manifest.variants],
    }


def bundle_table(bundle: Bundle) -> str:
    """One row a variant."""
    before = bundle.manifest.metrics.get("uncompressed", {})
    full = before.get("size_bytes")
    header = ("variant", "MB", "smaller", "faster", "metric", "drop", "agreement", "likeness")
    report = _report(bundle)
    speed = _faster_by(report)
    rows = [_row(entry, full, speed.get(entry.name)) for entry in bundle.manifest.variants]
    lines = [f"{bundle.path}: {bundle.manifest.name}, {bundle.manifest.task.name}", text_table(header, rows)]
    lines += [f"takes {item.in_words()}" for item in bundle.manifest.preprocess]
    lines += [f"in:  {in_words(bundle.manifest.inputs)}", f"out: {in_words(bundle.manifest.outputs)}"]
    lines += [f"skipped {item.part} {item.name}: {item.reason}" for item in bundle.manifest.skipped]
    if before.get("metric") is not None:
        interval = before.get("metric_interval_95")
        spread = f", 95 % interval {percent(interval[0])} to {percent(interval[1])}" if interval else ""
        lines.append(f"uncompressed: {before['metric_name']} {percent(before['metric'])}{spread}, "
                     f"{bundle.manifest.metrics['samples']} samples")  # fmt: skip
    for purpose, facts in bundle.manifest.sources.get("data", {}).items():
        if facts.get("read_as"):
            lines.append(f"{purpose} rows: {facts['read_as']}")
    if speed:
        lines.append("faster: than the uncompressed model in ONNX Runtime, on the machine that compiled")
    if any(entry.verification is not None for entry in bundle.manifest.variants):
        lines.append("likeness: to the compressed torch model's outputs, reached by 99 % of samples")
    lines += [f"{name}: verified by {by}" for name, by in _verified_by(bundle).items()]
    parsed = {item["name"]: (item.get("facts") or {}).get("parser") for item in report.get("variants", ())}
    lines += [f"{name}: {parser['said']}" for name, parser in parsed.items() if parser]
    return "\n".join([*lines, *(f"note: {note}" for note in _notes(bundle))])


def _verified_by(bundle: Bundle) -> dict[str, str]:
    """{variants: what executed them}, those together that one engine executed."""
    names: dict[str, list[str]] = {}
    for entry in bundle.manifest.variants:
        by = "nothing" if entry.verification is None else entry.verification.executed_by
        names.setdefault(by, []).append(entry.name)
    return {", ".join(of): by for by, of in names.items()}


def _notes(bundle: Bundle) -> tuple[str, ...]:
    """What the compile read otherwise than the model directory says, or left out."""
    notes = bundle.manifest.sources.get("notes")
    return tuple(map(str, notes)) if isinstance(notes, list) else ()


def _report(bundle: Bundle) -> dict[str, Any]:
    """What lies beside the manifest; {} where it is missing, or of another bundle."""
    try:
        report = json.loads((Path(bundle.path) / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(report, dict) or report.get("bundle_digest") != bundle.digest:
        return {}
    return report


def _faster_by(report: Mapping[str, Any]) -> dict[str, float]:
    timed = {item["name"]: (item.get("latency") or {}).get("faster_by") for item in report.get("variants", ())}
    return {name: value for name, value in timed.items() if value is not None}


def _row(entry: VariantEntry, full_bytes: int | None, faster_by: float | None) -> tuple[str, ...]:
    found = entry.verification
    if found is None:
        return (entry.name, f"{entry.size_bytes / 1e6:.1f}", "-", "-", "-", "-", "-", "-")
    drop = "-" if found.metric_drop is None else f"{found.metric_drop * 100:+.2f} pt"
    return (
        entry.name,
        f"{entry.size_bytes / 1e6:.1f}",
        f"{full_bytes / entry.size_bytes:.2f}x" if full_bytes else "-",
        "-" if faster_by is None else f"{faster_by:.2f}x",
        percent(found.metric),
        drop,
        percent(found.agreement),
        f"{found.cosine_min if found.similarity_p01 is None else found.similarity_p01:.5f}",
    )
