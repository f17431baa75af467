"""The sections of report.html about results: what was asked, before and after, variants, frontier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import plots, wording
from .blocks import Block, Cell, Figure, Section, Table, Text

Report = Mapping[str, Any]
_DATA = ("data", "file", "used", "rows in the file", "rows used", "SHA-256")
# where rows come from that have no file of their own, the first that was given
_ORIGINS = {"calibration": ("training",), "training": ("calibration",), "validation": ("calibration", "training")}
_LIKENESS = (
    "Compared with the compressed torch model, sample by sample; integers were read back from every file. Cosine: of "
    "all outputs of a sample. A plain cosine of two logits that mirror each other can be −1 where the model itself is "
    "undecided: both are near zero there, and a tiny error turns their direction. Likeness is the cosine, less what "
    "the lengths differ by, with the error of outputs near zero counted against their usual length. The gate uses the "
    "likeness that 99 % of the samples reach (the 1 % column), and a wider limit for the worst one (min)."
)


def asked(report: Report) -> Section:
    """The budget and what was given, beside what came out."""
    gate = report.get("recipe", {}).get("gate", {})
    variants = report["variants"]
    largest = max((item["size_bytes"] for item in variants), default=None)
    drops = [(item.get("verification") or {}).get("metric_drop") for item in variants]
    drop = max((value for value in drops if value is not None), default=None)
    timed = [item["latency"]["median_ms"] for item in variants if (item.get("latency") or {}).get("median_ms")]
    full = report.get("metrics", {}).get("uncompressed", {}).get("size_bytes")
    rows = [
        ("largest variant", _limit(gate, "max_size_bytes", wording.size), wording.size(largest)),
        *_bundle_row(report, gate),
        ("largest drop of the metric", _limit(gate, "max_drop", wording.points), wording.points(drop)),
        (
            "slowest variant on this machine",
            _limit(gate, "max_latency_ms", wording.milliseconds),
            wording.milliseconds(max(timed, default=None)),
        ),
    ]
    blocks: list[Block] = [Table(("", "asked for at most", "came out"), rows)]
    if full and largest:
        blocks.append(Text(f"The largest variant is {full / largest:.2f} times smaller than the float32 model."))
    statistics = report.get("metrics", {}).get("compressed", {}).get("statistics", {})
    if statistics.get("claim"):
        blocks.append(Text(f"Compressed model in torch: {statistics['claim']}."))
    blocks.append(Table(_DATA, _data_rows(report), texts=3))
    for purpose, facts in report.get("data", {}).items():
        if facts.get("read_as"):
            blocks.append(Text(f"{purpose.capitalize()} rows: {facts['read_as']}."))
    blocks += [Text(f"Model: {note}.") for note in report.get("notes", ())]
    devices = ", ".join(report.get("targets", [])) or "none named"
    blocks.append(Text(f"Devices: {devices}. Made by {report.get('producer', 'an unnamed producer')}."))
    return Section("asked", "What was asked, and what came out", blocks)


def _bundle_row(report: Report, gate: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Where the whole bundle has a limit."""
    if gate.get("max_bundle_bytes") is None:
        return []
    return [("the bundle", _limit(gate, "max_bundle_bytes", wording.size), wording.size(report.get("bundle_bytes")))]


def _limit(gate: Mapping[str, Any], key: str, wording_of: Any) -> str:
    return "no limit" if gate.get(key) is None else str(wording_of(gate[key]))


def _data_rows(report: Report) -> list[tuple[str, ...]]:
    data = report.get("data", {})
    rows: list[tuple[str, ...]] = []
    for purpose in ("calibration", "training", "validation", "evaluation"):
        facts = data.get(purpose, {})
        taken = facts.get("rows_used", facts.get("rows"))
        used = facts.get("used")
        words = wording.DASH if not taken else {True: "yes", False: "no: nothing needed them"}.get(used, "not noted")
        digest = str(facts.get("sha256") or wording.DASH)[:12]
        count = 0 if used is False and taken else taken
        rows.append((purpose, _origin(data, purpose), words, *map(wording.number, (facts.get("rows"), count)), digest))
    return rows


def _origin(data: Mapping[str, Any], purpose: str) -> str:
    """The file of the rows, or the one that they were taken from."""
    facts = data.get(purpose, {})
    if facts.get("file"):
        return str(facts["file"])
    sources = [data.get(name, {}).get("file") for name in _ORIGINS.get(purpose, ())]
    source = next((file for file in sources if file), None)
    return f"from {source}" if source and facts.get("rows_used") else "no file was given"


def before_after(report: Report) -> Section:
    """Uncompressed and compressed torch model, then every variant: size, metric, agreement, drop, latency."""
    before = report.get("metrics", {}).get("uncompressed", {})
    after = report.get("metrics", {}).get("compressed", {})
    full = before.get("size_bytes")
    name = before.get("metric_name") or "metric"
    header = ("model", "size", "smaller", name, "95 % interval", "agreement", "drop", "drop, 95 %", "latency", "faster")
    rows = [
        ("uncompressed, float32", wording.size(full), wording.times(1.0 if full else None),
         wording.percent(before.get("metric")), wording.interval(before.get("metric_interval_95")), wording.DASH,
         wording.DASH, wording.DASH, *_speed(before)),
        ("compressed, in torch", wording.DASH, wording.DASH, wording.percent(after.get("metric")),
         wording.interval(after.get("metric_interval_95")), wording.percent(after.get("agreement")),
         wording.points(_statistic(after, "drop")), wording.interval(_statistic(after, "drop_interval_95")),
         wording.DASH, wording.DASH),
        *(_variant_row(item, full) for item in report["variants"]),
    ]  # fmt: skip
    blocks: list[Block] = [Table(header, rows)]
    count, source = report.get("metrics", {}).get("samples"), report.get("metrics", {}).get("source")
    if before.get("metric") is None:
        blocks.append(Text(f"No metric: {before.get('reason', 'none was measured')}.", missing=True))
    else:
        blocks.append(Text(f"Judged on {count} samples of {source}. Agreement: share of decisions equal to those of "
                           "the uncompressed model. Drop: uncompressed minus compressed."))  # fmt: skip
    blocks.append(_claims(report))
    blocks += _latency_notes(report)
    return Section("before-after", "Before and after", blocks)


def _statistic(item: Mapping[str, Any], key: str) -> Any:
    return (item.get("statistics") or {}).get(key)


def _variant_row(item: Mapping[str, Any], full: float | None) -> tuple[str, ...]:
    check = item.get("verification") or {}
    return (
        str(item["name"]),
        wording.size(item["size_bytes"]),
        wording.times(full / item["size_bytes"] if full and item["size_bytes"] else None),
        wording.percent(check.get("metric")),
        wording.interval(_statistic(item, "metric_interval_95")),
        wording.percent(check.get("agreement")),
        wording.points(check.get("metric_drop")),
        wording.interval(_statistic(item, "drop_interval_95")),
        *_speed(item),
    )


def _speed(item: Mapping[str, Any]) -> tuple[str, str]:
    """Latency, and how much faster than the uncompressed model in ONNX Runtime, timed in turns with it."""
    latency = item.get("latency") or {}
    return wording.milliseconds(latency.get("median_ms")), wording.times(latency.get("faster_by"))


def _claims(report: Report) -> Table:
    """Discordant samples, McNemar's p, and the sentence that the interval allows."""
    rows = []
    after = report.get("metrics", {}).get("compressed", {})
    for name, item in (("compressed, in torch", after), *((str(v["name"]), v) for v in report["variants"])):
        statistics = item.get("statistics") or {"reason": "not computed"}
        test = statistics.get("mcnemar") or {}
        said = statistics.get("claim") or f"nothing can be claimed: {statistics.get('reason') or 'not computed'}"
        rows.append(
            (
                name,
                said,
                wording.number(test.get("lost")),
                wording.number(test.get("gained")),
                wording.probability(test.get("p_value")),
            )
        )
    return Table(
        ("model", "what the samples allow to say", "newly wrong", "newly right", "McNemar p"),
        rows,
        texts=2,
        caption="Paired over the same samples; p is the chance of a split as uneven as this if nothing had changed.",
    )


def _latency_notes(report: Report) -> list[Text]:
    """Where and how latencies were measured, once for equal conditions; a reason for each that is missing."""
    names: dict[Text, list[str]] = {}
    for item in report["variants"]:
        latency = item.get("latency") or {}
        if latency.get("median_ms") is None:
            note = Text(f"latency not measured: {latency.get('reason') or 'no reason was noted'}.", missing=True)
        else:
            at = f" at {latency['sequence_length']} tokens" if latency.get("sequence_length") else ""
            note = Text(
                f"median of {latency.get('runs')} single rows{at}, {latency.get('engine')}, {latency.get('threads')} "
                f"threads, on the machine that compiled ({latency.get('machine')}): no device's figure."
            )
        names.setdefault(note, []).append(str(item["name"]))
    return [Text(f"{', '.join(some)}: {note.text}", note.missing) for note, some in names.items()]


def variants(report: Report) -> Section:
    """How each variant compared with the compressed torch model, and what executed it."""
    rows = []
    for item in report["variants"]:
        check = item.get("verification") or {}
        facts = item.get("facts") or {}
        rows.append(
            (
                str(item["name"]),
                str(check.get("executed_by") or "was not executed"),
                "the devices' engine" if check.get("on_device") else "a stand-in",
                wording.number(check.get("samples")),
                wording.cosine(check.get("similarity_p01")),
                wording.cosine(check.get("similarity_min")),
                wording.cosine(check.get("cosine_min")),
                wording.cosine(check.get("cosine_mean")),
                wording.number(check.get("max_abs_error")),
                wording.number(facts.get("bit_equal_layers")),
            )
        )
    header = (
        "variant", "executed by", "which is", "samples", "likeness, 1 %", "likeness min", "cosine min", "cosine mean",
        "max abs error", "layers bit-equal",
    )  # fmt: skip
    shapes = [
        (
            str(item["name"]),
            str(item["format"]),
            ", ".join(f"{count} × {name}" for name, count in item.get("weight_formats", {}).items()) or "float32 only",
            ", ".join(map(str, item.get("lengths", {}).get("sequence", ()))) or "any",
            ", ".join(item.get("targets", ())) or "any",
        )
        for item in report["variants"]
    ]
    blocks: list[Block] = [
        Table(header, rows, texts=3, caption=_LIKENESS),
        Table(("variant", "format", "weights", "static lengths", "made for"), shapes, texts=5),
        *(
            Text(f"{item['name']}: {item['facts']['parser']['said']}.")
            for item in report["variants"]
            if (item.get("facts") or {}).get("parser")
        ),
    ]  # fmt: skip
    return Section("variants", "Variants and their verification", blocks)


def frontier(report: Report) -> Section:
    """Size and latency against the metric for everything that was tried."""
    candidates = report.get("search", {}).get("candidates", [])
    name = report.get("metrics", {}).get("uncompressed", {}).get("metric_name") or "metric"
    blocks: list[Block] = []
    for key, x_label, title in (
        ("size_bytes", "largest variant, MB", "Size"),
        ("latency_ms", "slowest variant timed on this machine, ms", "Latency"),
    ):
        points = _points(report, key)
        if not any(point.kind != "before" for point in points):
            why = "no candidate was timed on this machine" if key == "latency_ms" else "no candidate has a metric"
            blocks.append(Text(f"{title} and {name}: no plot, {why}.", missing=True))
            continue
        svg = plots.frontier(points, x_label, f"{name}, %", f"plot-{key.replace('_', '-')}")
        beside = (
            "" if any(point.kind == "before" for point in points) else " The uncompressed model has no figure here."
        )
        blocks.append(Figure(svg, f"{title} against {name} with 95 % intervals. B is the uncompressed model, numbers "
                                  f"are the candidates of the table below.{beside}"))  # fmt: skip
    header = ("", "candidate", "what came of it", "size", name, "95 % interval", "latency", "predicted damage")
    blocks.append(Table(header, [_candidate_row(i, item) for i, item in enumerate(candidates, start=1)], texts=3))
    return Section("frontier", "Size, latency and metric", blocks)


def _candidate_row(number: int, item: Mapping[str, Any]) -> tuple[str | Cell, ...]:
    chosen = bool(item.get("chosen"))
    refused = item.get("refused_because") or ["refused without a reason"]
    return (
        Cell(str(number), strong=chosen),
        Cell(str(item.get("name")), strong=chosen),
        "chosen" if chosen else "; ".join(map(str, refused)),
        wording.size(item.get("size_bytes")),
        wording.percent(item.get("metric")),
        wording.interval(item.get("metric_interval_95")),
        wording.milliseconds(item.get("latency_ms")),
        wording.number(item.get("predicted_damage")),
    )


def _points(report: Report, key: str) -> list[plots.Point]:
    """The uncompressed model (B) and the candidates (1, 2, …) that have both a metric and a value for ``key``."""
    scale = 1e-6 if key == "size_bytes" else 1.0
    before = report.get("metrics", {}).get("uncompressed", {})
    timed = (before.get("latency") or {}).get("median_ms")
    items = [("B", "before", {"latency_ms": timed, **before})]
    for number, item in enumerate(report.get("search", {}).get("candidates", []), start=1):
        items.append((str(number), "chosen" if item.get("chosen") else "refused", item))
    return [
        plots.Point(label, item[key] * scale, item["metric"], item.get("metric_interval_95"), kind)
        for label, kind, item in items
        if item.get("metric") is not None and item.get(key) is not None
    ]
