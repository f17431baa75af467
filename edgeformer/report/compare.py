"""Device reports side by side: what may be compared, and what may not.

Latency is ranked, and speed-up given, between valid reports of equal sequence length and batch. Watts and joules are
ranked between figures of one status and one scope only: a module's measured power says nothing about an estimate of a
whole board. What can't be compared is shown, with the reason, and never ranked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.measuring.findings import Accuracy
from edgeformer_runtime.measuring.report import Report
from edgeformer_runtime.measuring.report_reader import MAX_BYTES

from ..errors import EdgeformerError, InputError

RANKINGS = ("latency", "power", "energy", "none")


class ComparisonError(EdgeformerError):
    """Figures that were to be ranked are of different kinds."""


@dataclass(frozen=True)
class Named:
    """A report and what it is called in the table."""

    name: str
    report: Report


@dataclass(frozen=True)
class Figure:
    """A value and two standard uncertainties of it (about 95 %); either may be unknown."""

    value: float | None
    uncertainty: float | None = None


@dataclass(frozen=True)
class Row:
    """One report in the table. Latency in ms, power in W, energy in mJ an inference."""

    name: str
    device: str
    variant: str
    engine: str
    threads: int
    batch: int
    length: int | None
    p50_ms: float
    p50_interval: tuple[float, float] | None
    p95_ms: float
    power_w: Figure
    power_covers: str  # status and scope, or "unavailable"
    energy_net_mj: Figure
    energy_gross_mj: Figure
    accuracy: Accuracy | None
    speed_up: Figure  # against the reference: p50 of the reference / p50
    rank: int | None
    protocol: str
    valid: bool


@dataclass(frozen=True)
class Comparison:
    """The table, and what a reader must know to read it."""

    rows: tuple[Row, ...]
    reference: str
    ranking: str
    notes: tuple[str, ...]


def load(paths: Sequence[Path]) -> list[Named]:
    """Reports by their file's name; by their path where two share one. Raises InputError."""
    stems = [path.stem for path in paths]
    names = [stem if stems.count(stem) == 1 else str(path) for stem, path in zip(stems, paths, strict=True)]
    if len(set(names)) < len(names):
        raise InputError("report compare: the same report was given twice")
    return [Named(name, _read(path)) for name, path in zip(names, paths, strict=True)]


def _read(path: Path) -> Report:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: has more than {MAX_BYTES} bytes: expected a device's report")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: can't be read ({getattr(error, 'strerror', None) or error}): expected a device's report, as "
            "'edgeformer-run bench BUNDLE --json FILE' writes it"
        ) from error
    try:
        return Report.from_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def accuracies(bundles: Sequence[Path]) -> dict[tuple[str, str], Accuracy]:
    """{(digest, variant): accuracy} of verified bundles."""
    found = {}
    for path in bundles:
        with Bundle.open(path) as bundle:
            for entry in bundle.manifest.variants:
                check = entry.verification
                if check is not None and check.metric_name is not None and check.metric is not None:
                    found[bundle.digest, entry.name] = Accuracy(check.metric_name, check.metric, check.samples)
    return found


def compare(
    reports: Sequence[Named],
    reference: str | None = None,
    ranking: str = "latency",
    known: dict[tuple[str, str], Accuracy] | None = None,
) -> Comparison:
    """The table of ``reports``, speed-ups against ``reference`` (the first one).

    Raises:
        InputError: an unknown reference or ranking, or no report.
        ComparisonError: power or energy was to be ranked over different status or scope.
    """
    if not reports:
        raise InputError("report compare: expected at least one report")
    if ranking not in RANKINGS:
        raise InputError(f"ranking {ranking!r}: expected one of {', '.join(RANKINGS)}")
    base = _reference(reports, reference)
    notes: list[str] = []
    ranks = _ranks(reports, base, ranking, notes)
    rows = tuple(_row(item, base, ranks.get(item.name), known or {}, notes) for item in reports)
    notes += _unequal_samples(rows)
    return Comparison(rows, base.name, ranking, tuple(dict.fromkeys([*notes, *_reasons(reports)])))


def _reference(reports: Sequence[Named], wanted: str | None) -> Named:
    if wanted is None:
        return reports[0]
    for item in reports:
        if item.name == wanted:
            return item
    raise InputError(f"--reference {wanted!r}: expected one of {', '.join(item.name for item in reports)}")


# ---- what may be compared ----


def unlike(first: Report, second: Report) -> str | None:
    """Why latencies of two reports can't be compared; None when they can."""
    for what, one, other in (
        ("sequence length", first.sequence_length, second.sequence_length),
        ("batch", first.batch_size, second.batch_size),
    ):
        if one != other:
            return f"{what} {one} against {other}"
    return None


def covers(report: Report) -> str:
    """Status and scope of the watts: only equal ones may be ranked."""
    return report.power.status if report.power.watts is None else f"{report.power.status}, {report.power.scope}"


def _ranks(reports: Sequence[Named], base: Named, ranking: str, notes: list[str]) -> dict[str, int]:
    """{name: rank} by the wanted figure: 1, and one more for each report that is clearly better."""
    able = [(item, figure) for item in reports if (figure := _ranked_figure(item.report, ranking)).value is not None]
    able = [(item, figure) for item, figure in able if item.report.valid]
    if ranking in ("power", "energy"):
        _refuse_mixed(able, ranking)
    alike = [(item, figure) for item, figure in able if unlike(base.report, item.report) is None]
    if ranking != "none" and len(alike) < len(able):
        others = ", ".join(item.name for item, _ in able if unlike(base.report, item.report) is not None)
        notes.append(f"not ranked, since their input is of another shape than {base.name}'s: {others}")
    if len(alike) < 2:
        return {}
    return {item.name: 1 + sum(_clearly_less(other, figure) for _, other in alike) for item, figure in alike}


def _refuse_mixed(able: Sequence[tuple[Named, Figure]], ranking: str) -> None:
    kinds: dict[str, list[str]] = {}
    for item, _ in able:
        kinds.setdefault(covers(item.report), []).append(item.name)
    if len(kinds) > 1:
        told = "; ".join(f"{kind} ({', '.join(names)})" for kind, names in kinds.items())
        raise ComparisonError(
            f"{ranking} can't be ranked over different kinds of figures: {told}. Compare reports of one status and "
            "scope, or rank by latency"
        )


def _ranked_figure(report: Report, ranking: str) -> Figure:
    if ranking == "latency":
        return _p50(report)
    if ranking == "power":
        return _power(report)
    return _net(report) if ranking == "energy" else Figure(None)


def _clearly_less(lower: Figure, upper: Figure) -> bool:
    """Whether the intervals don't even touch."""
    if lower.value is None or upper.value is None:
        return False
    return lower.value + (lower.uncertainty or 0.0) < upper.value - (upper.uncertainty or 0.0)


# ---- rows ----


def _row(item: Named, base: Named, rank: int | None, known: dict[tuple[str, str], Accuracy], notes: list[str]) -> Row:
    report, latency = item.report, item.report.latency_ms
    interval = report.p50_interval
    return Row(
        name=item.name,
        device=report.device.device_model or report.device.cpu_model or report.device.machine or "unknown",
        variant=report.variant,
        engine=report.engine,
        threads=report.threads,
        batch=report.batch_size,
        length=report.sequence_length,
        p50_ms=latency.p50,
        p50_interval=None if interval is None else (interval.low, interval.high),
        p95_ms=latency.p95,
        power_w=_power(report),
        power_covers=covers(report),
        energy_net_mj=_net(report),
        energy_gross_mj=_gross(report),
        accuracy=report.accuracy or known.get((report.bundle_digest, report.variant)),
        speed_up=_speed_up(item, base, notes),
        rank=rank,
        protocol=report.protocol,
        valid=report.valid,
    )


def _unequal_samples(rows: Sequence[Row]) -> list[str]:
    """A note for each metric whose values were found on different numbers of samples."""
    found: dict[str, dict[int, list[str]]] = {}
    for row in rows:
        if row.accuracy is not None:
            found.setdefault(row.accuracy.metric, {}).setdefault(row.accuracy.samples, []).append(row.name)
    return [
        f"{metric} is of different rows, so a difference may be theirs: "
        + "; ".join(f"{count} rows ({', '.join(names)})" for count, names in sorted(counts.items()))
        for metric, counts in found.items()
        if len(counts) > 1
    ]


def _speed_up(item: Named, base: Named, notes: list[str]) -> Figure:
    why = unlike(base.report, item.report)
    if why is None and not item.report.valid:
        return Figure(None)  # its own note says why it is invalid
    if why is None and not base.report.valid:
        why = f"{base.name} is invalid"
    if why is not None:
        notes.append(f"{item.name}: no speed-up against {base.name}: {why}")
        return Figure(None)
    before, after = _p50(base.report), _p50(item.report)
    if item.name == base.name:
        return Figure(1.0)
    if not before.value or not after.value:
        return Figure(None)
    ratio = before.value / after.value
    if before.uncertainty is None or after.uncertainty is None:
        return Figure(ratio)
    return Figure(ratio, ratio * math.hypot(before.uncertainty / before.value, after.uncertainty / after.value))


def _p50(report: Report) -> Figure:
    interval = report.p50_interval
    return Figure(report.latency_ms.p50, None if interval is None else (interval.high - interval.low) / 2)


def _power(report: Report) -> Figure:
    return Figure(report.power.watts, None if report.energy is None else report.energy.mean_uncertainty_w)


def _net(report: Report) -> Figure:
    energy = report.energy
    return Figure(None) if energy is None else Figure(energy.net_mj, energy.net_uncertainty_mj)


def _gross(report: Report) -> Figure:
    energy = report.energy
    return Figure(None) if energy is None else Figure(energy.gross_mj, energy.gross_uncertainty_mj)


def _reasons(reports: Sequence[Named]) -> list[str]:
    """Notes on single reports: invalid ones first."""
    notes = [f"{item.name}: INVALID: {reason}" for item in reports for reason in item.report.invalid]
    for item in reports:
        report = item.report
        if report.protocol == "quick":
            notes.append(f"{item.name}: a quick look, not for publication")
        if report.power.watts is None:
            notes.append(f"{item.name}: power {report.power.status}: {report.power.reason}")
        elif report.energy is not None and report.energy.net_mj is None:
            notes.append(f"{item.name}: net energy: {report.reasons.get('energy.net_mj', 'not measured')}")
    return notes
