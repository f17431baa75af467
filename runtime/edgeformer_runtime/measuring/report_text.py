"""A report for a terminal: every figure with what it is worth, and a verdict that needs no expert."""

from __future__ import annotations

import math
from typing import List, Optional, Tuple

from .findings import Sustained
from .report_data import ReportData
from .sustained import joined

_WIDTH = 18
_MAX_ROWS = 16  # of the sustained table
_BAR = 24

Rows = List[Tuple[str, str]]


def report_table(report: ReportData) -> str:
    """Lines of a name and a value, notes, and the verdict."""
    rows = [*_what(report), *_latency(report), *_memory(report), *_heat(report), *_power(report), *_conditions(report)]
    rows += [("note", text) for text in (*report.notes, *_old_notes(report), *report.delegation)]
    rows += [("not used", text) for text in report.skipped]
    lines = [f"{name:<{_WIDTH}}{text}" for name, text in rows]
    if report.sustained is not None:
        lines += ["", *sustained_lines(report.sustained)]
    return "\n".join([*lines, "", verdict(report)])


def verdict(report: ReportData) -> str:
    """One line a reason; the last lines of a report."""
    if report.invalid:
        return "\n".join(f"INVALID: {reason}" for reason in report.invalid)
    return "VALID, as a quick look" if report.protocol == "quick" else "VALID"


def plus_minus(value: Optional[float], uncertainty: Optional[float], unit: str) -> str:
    """``12.3 ± 0.4 mJ``: as many digits as the uncertainty has two of; a dash for None."""
    if value is None:
        return "-"
    if uncertainty is None or not uncertainty > 0:
        return f"{value:.4g} {unit}"
    digits = min(9, max(0, 1 - math.floor(math.log10(uncertainty))))
    return f"{value:.{digits}f} ± {uncertainty:.{digits}f} {unit}"


def _what(report: ReportData) -> Rows:
    length = "" if report.sequence_length is None else f", sequence length {report.sequence_length}"
    return [
        ("bundle", f"{report.bundle_name} ({report.bundle_digest[:12]})"),
        ("variant", report.variant),
        ("engine", f"{report.engine}, {report.threads} thread{'s' if report.threads > 1 else ''}"),
        ("device", report.device.device_model or report.device.cpu_model or report.device.machine or "unknown"),
        ("accuracy", _accuracy(report)),
        ("input", f"batch {report.batch_size}{length}"),
        ("protocol", _protocol(report)),
    ]


def _accuracy(report: ReportData) -> str:
    found = report.accuracy
    if found is None:
        return f"- ({_why(report, 'accuracy')})"
    return f"{found.metric} {found.value:.4g} on {found.samples} rows when it was compiled"


def _protocol(report: ReportData) -> str:
    warmup = f"{report.warmup_runs} runs of warm-up"
    repeats = len(report.repeats)
    loop = f"{report.runs} timed runs in {report.duration_s:.1f} s"
    return f"{report.protocol}: {warmup}, {loop}" + (f", {repeats} repeats" if repeats > 1 else "")


def _latency(report: ReportData) -> Rows:
    latency, interval = report.latency_ms, report.p50_interval
    between = f"  (95 %: {interval.low:.3f} to {interval.high:.3f})" if interval is not None else ""
    missing = f"  (no interval: {_why(report, 'p50_interval')})" if interval is None else ""
    return [
        ("latency p50", f"{latency.p50:.3f} ms{between}{missing}"),
        ("latency p90", f"{latency.p90:.3f} ms"),
        ("latency p95", f"{latency.p95:.3f} ms"),
        ("latency p99", _value(report, "latency_ms.p99", latency.p99, "ms")),
        ("mean ± stdev", f"{latency.mean:.3f} ± {'-' if latency.stdev is None else f'{latency.stdev:.3f}'} ms"),
        ("throughput", f"{report.throughput_per_s:.1f} per s"),
        ("load", f"{report.load_ms:.1f} ms"),
        ("first inference", _value(report, "first_inference_ms", report.first_inference_ms, "ms")),
    ]


def _memory(report: ReportData) -> Rows:
    return [
        ("peak memory", _mib(report, "peak_rss_bytes", report.peak_rss_bytes)),
        ("  of it grown", _mib(report, "peak_rss_growth_bytes", report.peak_rss_growth_bytes)),
    ]


def _heat(report: ReportData) -> Rows:
    thermal, clock = report.thermal, report.clock
    if thermal is None:
        rows = [("temperature", _value(report, "temperature_c", report.temperature_c, "°C"))]
    else:
        told = " → ".join(_short(value) for value in (thermal.before_c, thermal.max_c, thermal.after_c))
        rows = [("temperature", f"{told} °C  (idle → highest → idle; {thermal.sensor})")]
    if clock is None:
        rows.append(("clock", f"- ({_why(report, 'clock')})"))
    else:
        changed = clock.governor_before != clock.governor_after
        governor = f"{clock.governor_before} → {clock.governor_after}" if changed else clock.governor_before
        told = f"{_short(clock.start_mhz, 0)} MHz, lowest {_short(clock.lowest_mhz, 0)} MHz"
        rows.append(("clock", f"{told}, governor {governor or '-'}"))
    return rows


def _power(report: ReportData) -> Rows:
    power, energy = report.power, report.energy
    if power.watts is None:
        rows = [("power", f"unavailable ({power.reason})")]
    else:
        covers = ", ".join(text for text in (power.status, power.scope, power.rail, power.model) if text)
        error = None if energy is None else energy.mean_uncertainty_w
        rows = [("power", f"{plus_minus(power.watts, error, 'W')}  ({covers})")]
    if energy is None:
        return [*rows, ("energy", f"- ({_why(report, 'energy')})")]
    net = plus_minus(energy.net_mj, energy.net_uncertainty_mj, "mJ")
    if energy.net_mj is None:
        net = f"- ({_why(report, 'energy.net_mj')})"
    idle = f", idle {energy.idle_w:.3f} W" if energy.idle_w is not None else ""
    rows += [
        ("energy, net", f"{net}  an inference, above idle" if energy.net_mj is not None else net),
        ("energy, gross", f"{plus_minus(energy.gross_mj, energy.gross_uncertainty_mj, 'mJ')}  with idle"),
        ("  how", f"{energy.method}, {energy.samples} samples, {energy.rate_hz or 0:.1f} a second{idle}"),
    ]
    if "energy.components_mj" in report.reasons:
        rows.append(("  note", report.reasons["energy.components_mj"]))
    return rows


def _conditions(report: ReportData) -> Rows:
    rows: Rows = []
    if report.throttling is not None:
        sources = ", ".join(report.throttling.sources)
        told = ", ".join(report.throttling.events) or (f"none seen ({sources})" if sources else None)
        rows.append(("throttling", told or f"- ({_why(report, 'throttling')})"))
    if report.load is not None:
        other = report.load.other_cores
        told = f"- ({_why(report, 'load.other_cores')})"
        if other is not None:
            told = f"kept {other:.2f} of {report.load.cores} cores busy"
        rows.append(("other programs", told))
    if report.sampling is not None:
        cost = report.sampling
        told = f"- ({_why(report, 'sampling.overhead')})"
        if cost.overhead is not None:
            told = f"{100 * cost.overhead:+.1f} %"
            if cost.overhead_low is not None and cost.overhead_high is not None:
                within = ", nothing that can be told from noise" if cost.overhead_low <= 0 <= cost.overhead_high else ""
                told += f"  (95 %: {100 * cost.overhead_low:+.1f} to {100 * cost.overhead_high:+.1f} %{within})"
        rows.append(("cost of watching", told))
    return rows


def _old_notes(report: ReportData) -> Tuple[str, ...]:
    if report.warmup_settled or any("warm-up" in note for note in report.notes):
        return ()
    return ("latency was still moving after the warm-up: other load on the device?",)


def sustained_lines(sustained: Sustained) -> List[str]:
    """First against last, and a row for each stretch of the run with a bar of its throughput."""
    span = f"{sustained.compared_s / 60:.3g} min" if sustained.compared_s >= 60 else f"{sustained.compared_s:.0f} s"
    lines = [
        f"{'sustained':<{_WIDTH}}first {span} {sustained.first_per_s:.1f} per s, last {span} "
        f"{sustained.last_per_s:.1f} per s: {100 * sustained.kept:.1f} % kept"
    ]
    if sustained.other_cores is not None:
        lines.append(f"{'  other programs':<{_WIDTH}}kept {sustained.other_cores:.2f} cores busy")
    if sustained.throttle_events:
        lines.append(f"{'  throttled':<{_WIDTH}}{', '.join(sustained.throttle_events)}")
    step = max(1, math.ceil(len(sustained.windows) / _MAX_ROWS))
    rows = [joined(sustained.windows[start : start + step]) for start in range(0, len(sustained.windows), step)]
    highest = max(row.throughput_per_s for row in rows)
    unit_s, unit = (60.0, "min") if sustained.windows[-1].start_s >= 120 else (1.0, "s")
    lines.append(f"{unit:>6}  {'per s':>9}  {'p50 ms':>9}  {'°C':>5}  {'MHz':>5}  {'W':>6}")
    for row in rows:
        bar = "#" * round(_BAR * row.throughput_per_s / highest) + (" throttled" if row.throttles else "")
        lines.append(
            f"{row.start_s / unit_s:>6.1f}  {row.throughput_per_s:>9.1f}  {row.p50_ms:>9.3f}  "
            f"{_short(row.temperature_c):>5}  {_short(row.clock_mhz, 0):>5}  {_short(row.watts, 2):>6}  {bar}"
        )
    return lines


def _why(report: ReportData, name: str) -> str:
    return report.reasons.get(name, "not measured")


def _value(report: ReportData, name: str, value: Optional[float], unit: str) -> str:
    return f"{value:.3f} {unit}" if value is not None else f"- ({_why(report, name)})"


def _mib(report: ReportData, name: str, value: Optional[int]) -> str:
    return f"- ({_why(report, name)})" if value is None else f"{value / 2**20:.1f} MiB"


def _short(value: Optional[float], digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
