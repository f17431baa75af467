"""A comparison as text, Markdown, CSV, HTML and JSON. Names come from devices and files: each form escapes them."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import asdict
from typing import Any

from edgeformer_runtime.measuring.report_text import plus_minus

from ..terminal.table import text_table
from .compare import Comparison, Figure, Row
from .html import page
from .wording import times

DASH = "-"
_LONGEST = 60
_TEXTS = 5  # columns of words in front
_HEADER = (
    "report", "device", "variant", "engine", "power is", "threads", "length", "p50 ms (95 %)", "p95 ms", "power W",
    "net mJ/inference", "accuracy", "speed-up", "rank",
)  # fmt: skip


def cells(row: Row) -> tuple[str, ...]:
    """A row as a person reads it."""
    accuracy = row.accuracy
    return (
        row.name + ("" if row.valid else " (INVALID)") + (" (quick)" if row.protocol == "quick" else ""),
        row.device,
        row.variant,
        row.engine.replace("ExecutionProvider", ""),
        row.power_covers,
        str(row.threads),
        DASH if row.length is None else str(row.length) + (f"x{row.batch}" if row.batch != 1 else ""),
        _p50(row),
        f"{row.p95_ms:.2f}",
        _figure(row.power_w),
        _figure(row.energy_net_mj),
        DASH if accuracy is None else f"{accuracy.metric} {accuracy.value:.3f}",
        DASH if row.speed_up.value is None else _speed_up(row.speed_up),
        DASH if row.rank is None else str(row.rank),
    )


def as_text(found: Comparison) -> str:
    """For a terminal."""
    rows = [[plain(cell) for cell in cells(row)] for row in found.rows]
    lines = [text_table(_HEADER, rows), "", f"speed-up: against {plain(found.reference)}; rank: by {found.ranking}, "
             "1 + those that are clearly better; ± and intervals are 95 %"]  # fmt: skip
    return "\n".join([*lines, *(f"- {plain(note, 1000)}" for note in found.notes)])


def as_markdown(found: Comparison) -> str:
    """A table of GitHub's dialect, and the notes as a list."""
    header = "| " + " | ".join(_HEADER) + " |"
    rule = "|" + "|".join("---" if index < _TEXTS else "---:" for index in range(len(_HEADER))) + "|"
    rows = ["| " + " | ".join(markdown(cell) for cell in cells(row)) + " |" for row in found.rows]
    tail = (
        f"Speed-up against {markdown(found.reference)}; rank by {found.ranking}: 1 + those that are clearly better. "
        "± and intervals are 95 %."
    )
    return "\n".join([header, rule, *rows, "", tail, "", *(f"- {markdown(note, 1000)}" for note in found.notes)])


def as_csv(found: Comparison) -> str:
    """Numbers in columns of their own, with units in the header; what is unknown is empty."""
    buffer = io.StringIO()
    rows = [csv_row(row) for row in found.rows]
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def csv_row(row: Row) -> dict[str, Any]:
    """{column: value} of one report."""
    low, high = row.p50_interval or (None, None)
    accuracy = row.accuracy
    return {
        "report": _cell(row.name), "device": _cell(row.device), "variant": _cell(row.variant),
        "engine": _cell(row.engine), "threads": row.threads, "batch": row.batch, "sequence_length": row.length,
        "p50_ms": row.p50_ms, "p50_low_ms": low, "p50_high_ms": high, "p95_ms": row.p95_ms,
        "power_w": row.power_w.value, "power_uncertainty_w": row.power_w.uncertainty,
        "power_covers": _cell(row.power_covers),
        "energy_net_mj": row.energy_net_mj.value, "energy_net_uncertainty_mj": row.energy_net_mj.uncertainty,
        "energy_gross_mj": row.energy_gross_mj.value, "energy_gross_uncertainty_mj": row.energy_gross_mj.uncertainty,
        "metric": None if accuracy is None else _cell(accuracy.metric),
        "metric_value": None if accuracy is None else accuracy.value,
        "speed_up": row.speed_up.value, "speed_up_uncertainty": row.speed_up.uncertainty, "rank": row.rank,
        "protocol": _cell(row.protocol), "valid": row.valid,
    }  # fmt: skip


def as_html(found: Comparison) -> str:
    """One page that reads offline; the template escapes every text."""
    return page(
        "compare.html.jinja",
        title="Devices compared",
        header=_HEADER,
        texts=_TEXTS,
        rows=[(row.valid, cells(row)) for row in found.rows],
        reference=found.reference,
        ranking=found.ranking,
        notes=found.notes,
    )


def as_json(found: Comparison) -> dict[str, Any]:
    """Plain data."""
    return asdict(found)


def plain(text: str, longest: int = _LONGEST) -> str:
    """On one line and without what steers a terminal; cut where it is too long."""
    shown = re.sub(r"\s+", " ", "".join(char if char.isprintable() else " " for char in text)).strip()
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def markdown(text: str, longest: int = _LONGEST) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no end of a cell."""
    return re.sub(r"([\\`*_{}\[\]<>#|~!&])", r"\\\1", plain(text, longest))


def _cell(text: str) -> str:
    """Text that a spreadsheet doesn't take for a formula."""
    shown = plain(text, 1000)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown


def _p50(row: Row) -> str:
    if row.p50_interval is None:
        return f"{row.p50_ms:.2f}"
    low, high = row.p50_interval
    return f"{row.p50_ms:.2f} ({low:.2f} to {high:.2f})"


def _figure(figure: Figure) -> str:
    return plus_minus(figure.value, figure.uncertainty, "").strip()


def _speed_up(figure: Figure) -> str:
    return times(figure.value) + ("" if figure.uncertainty is None else f" ± {figure.uncertainty:.2f}")
