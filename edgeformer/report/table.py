"""A bundle's variants as a table in the terminal, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from edgeformer_runtime.bundle import Bundle
from edgeformer_runtime.manifest import VariantEntry


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
        "variants": [asdict(entry) for entry in bundle.manifest.variants],
    }


def bundle_table(bundle: Bundle) -> str:
    """One row a variant."""
    before = bundle.manifest.metrics.get("uncompressed", {})
    full = before.get("size_bytes")
    header = ("variant", "MB", "smaller by", "metric", "drop", "agreement", "cosine min", "verified by")
    rows = [_row(entry, full) for entry in bundle.manifest.variants]
    lines = [f"{bundle.path}: {bundle.manifest.name}, {bundle.manifest.task.name}", text_table(header, rows)]
    if before.get("metric") is not None:
        interval = before.get("metric_interval_95")
        spread = f", 95 % interval {percent(interval[0])} to {percent(interval[1])}" if interval else ""
        lines.append(f"uncompressed: {before['metric_name']} {percent(before['metric'])}{spread}, "
                     f"{bundle.manifest.metrics['samples']} samples")  # fmt: skip
    return "\n".join(lines)


def _row(entry: VariantEntry, full_bytes: int | None) -> tuple[str, ...]:
    found = entry.verification
    if found is None:
        return (entry.name, f"{entry.size_bytes / 1e6:.1f}", "-", "-", "-", "-", "-", "not verified")
    drop = "-" if found.metric_drop is None else f"{found.metric_drop * 100:+.2f} pt"
    return (
        entry.name,
        f"{entry.size_bytes / 1e6:.1f}",
        f"{full_bytes / entry.size_bytes:.2f}x" if full_bytes else "-",
        percent(found.metric),
        drop,
        percent(found.agreement),
        f"{found.cosine_min:.5f}",
        found.executed_by,
    )
