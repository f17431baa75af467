"""A bundle's benchmark on a device: reach it, copy what changed, install, measure there, bring the report back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.manifest import SEQUENCE, Manifest
from edgeformer_runtime.bundle.names import MANIFEST_NAME
from edgeformer_runtime.errors import InputError
from edgeformer_runtime.measuring.report import Report

from . import agent
from .base import MAX_OUTPUT_BYTES, ConnectionLostError, Output, Progress, Remote, RemoteError, printable
from .facts import Facts, Place, settle
from .install import EXTRAS, INSTALLED, WAYS, Installed, check_engine, choose_engines, chosen_variants, install
from .sync import inventory_of, sync

KEPT_BUNDLES = 2  # on a device, with --keep: two that are compared by turns needn't be copied again
_MEASURE_S = 1800.0  # on top of what --duration and --sustained ask for


@dataclass(frozen=True)
class Options:
    """What to measure, and how. None leaves the choice to the device.

    ``runs``, ``duration_s``, ``quick`` and ``sustained_minutes`` are those of `edgeformer-run bench`. ``engine`` is one
    of EXTRAS, or "installed" for the one that the device has already; ``way`` says who fetches it.
    """

    variant: str = "auto"
    threads: int | None = None
    runs: int | None = None
    duration_s: float | None = None
    sustained_minutes: float | None = None
    sequence_length: int | None = None
    quick: bool = False
    engine: str | None = None
    way: str | None = None
    keep: bool = False

    def __post_init__(self) -> None:
        for name in ("threads", "runs", "sequence_length", "duration_s", "sustained_minutes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"--{name.replace('_', '-')} {value}: expected a positive number")
        if self.engine not in (None, INSTALLED, *EXTRAS):
            raise InputError(f"--engine {self.engine}: expected {', '.join(EXTRAS)} or {INSTALLED}")
        if self.way not in (None, *WAYS):
            raise InputError(f"--install {self.way}: expected {' or '.join(WAYS)}")

    def check(self, manifest: Manifest) -> None:
        """Raise InputError for a variant, engine or sequence length that the bundle can't have anywhere."""
        entries = chosen_variants(manifest, self.variant)
        if self.engine not in (None, INSTALLED):
            check_engine(self.engine, entries)
        length = self.sequence_length
        if length is None:
            return
        if not any(SEQUENCE in spec.shape for spec in manifest.inputs):
            raise InputError(f"--sequence-length {length}: the inputs of {manifest.name!r} have no sequence")
        # A variant without lengths of its own takes any: only its engine knows where its positions end.
        limits = {item.name: item.longest(SEQUENCE) or math.inf for item in entries}
        if length > max(limits.values()):
            takes = ", ".join(f"{name} up to {limit}" for name, limit in limits.items())
            raise InputError(
                f"--sequence-length {length}: longer than the bundle takes: {takes}. Choose a shorter one, or compile "
                "with a longer --sequence-lengths"
            )

    def arguments(self) -> list[str]:
        """Those of `edgeformer-run bench`."""
        line = ["--variant", self.variant]
        for flag, value in (
            ("--threads", self.threads), ("--runs", self.runs), ("--duration", self.duration_s),
            ("--sustained", self.sustained_minutes), ("--sequence-length", self.sequence_length),
        ):  # fmt: skip
            line += [flag, str(value)] if value is not None else []
        return [*line, "--quick"] if self.quick else line

    def timeout_s(self) -> float:
        """How long the device may take."""
        return _MEASURE_S + (self.duration_s or 0) * 2 + (self.sustained_minutes or 0) * 120


@dataclass(frozen=True)
class Measured:
    """A report from a device, and how it was come by."""

    report: Report
    address: str
    python: str
    machine: str
    installed: Installed
    sent_bytes: int
    kept: bool

    def to_dict(self) -> dict[str, Any]:
        """The report's own JSON, which `edgeformer report compare` reads, with `reached` in addition."""
        reached = {
            "address": self.address,
            "python": self.python,
            "machine": self.machine,
            "engines_from": self.installed.way,
            "engines": list(self.installed.engines),
            "sent_bytes": self.sent_bytes,
            "kept_there": self.kept,
            "notes": list(self.installed.notes),
        }
        return {**self.report.to_dict(), "reached": reached}


def measure(bundle: Bundle, remote: Remote, options: Options, cache: Path, progress: Progress) -> Measured:
    """Do it all on ``remote``; what was put there is removed again unless ``options.keep``, or an earlier run had it.

    Raises RemoteError for whatever goes wrong on the way; InputError for a wrong choice of variant or engine;
    KeyboardInterrupt with a text where what was put there is removed, else without.
    """
    progress(f"reach {remote.address}")
    place, facts = settle(remote)
    progress(f"{facts.machine}, Python {facts.python}, {facts.free_bytes / 1e9:.1f} GB free")
    try:
        measured = _measure_at(place, facts, bundle, options, cache, progress)
    except ConnectionLostError:
        raise
    except BaseException as error:
        removed = not options.keep and _clean_up(place, progress)
        if removed and isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt("interrupted: what was copied there was cleaned up") from error
        raise
    if options.keep:
        _tidy(place, progress)
        return measured
    return replace(measured, kept=not _clean_up(place, progress))


def _measure_at(
    place: Place, facts: Facts, bundle: Bundle, options: Options, cache: Path, progress: Progress
) -> Measured:
    where = place.remote.address
    engines = choose_engines(bundle.manifest, options.variant, options.engine, facts)
    if options.keep:
        place.ask("keep", folder=place.folder)
    there = inventory_of(place)
    installed = install(place, facts, engines, options.way, there=there, cache=cache, progress=progress)
    folder = f"bundle-{bundle.digest[:16]}"
    files = [MANIFEST_NAME, *(entry.path for entry in bundle.manifest.files)]
    sent_bytes = installed.sent_bytes + sync(place, bundle.path, folder, facts, there, progress, only=files)
    progress("measure")
    command = [installed.python, "-m", "edgeformer_runtime", "bench", place.path(folder), "--json", "-"]
    environment = {"EDGEFORMER_CACHE": place.path("cache"), "PYTHONPATH": ":".join(installed.paths)}
    done = place.run(
        [*command, *options.arguments()], environment, timeout_s=options.timeout_s(), progress=_there(progress)
    )
    report = read_report(done, where, bundle.digest)
    return Measured(report, where, facts.python, facts.machine, installed, sent_bytes, options.keep)


def _there(progress: Progress) -> Callable[[str], None]:
    return lambda line: progress(f"device: {line}") if line.strip() else None


def read_report(done: Output, where: str, digest: str) -> Report:
    """The report that `edgeformer-run bench --json -` printed; raises RemoteError for anything else."""
    if done.status == agent.LOCKED:
        raise RemoteError(
            f"{where}: another benchmark is running on this device: wait for it, two would slow each other"
        )
    if done.status == 137:
        raise RemoteError(f"{where}: the benchmark was killed there; the usual reason is that memory ran out")
    if done.status != 0:
        raise RemoteError(f"{where}: the benchmark failed there (exit status {done.status}): {_reason(done)}")
    if len(done.stdout) > MAX_OUTPUT_BYTES:
        raise RemoteError(f"{where}: its report has {len(done.stdout)} bytes: expected at most {MAX_OUTPUT_BYTES}")
    try:
        report = Report.from_json(done.stdout.decode("utf-8"))
    except (InputError, UnicodeDecodeError) as error:
        raise RemoteError(f"{where}: what it printed is no report: {printable(str(error))}") from error
    if report.bundle_digest != digest:
        raise RemoteError(f"{where}: its report is of bundle {report.bundle_digest[:12]!r}: expected {digest[:12]}")
    return report


def _reason(done: Output) -> str:
    """The runtime's own message where it gave one, else the end of what was printed."""
    text = done.last_lines()
    _, found, message = text.rpartition("edgeformer-run: ")
    return found + message if found else text


def _tidy(place: Place, progress: Progress) -> None:
    """Remove the bundles of earlier runs, but KEPT_BUNDLES; a failure is told, and hides no report."""
    try:
        answer = place.ask("tidy", folder=place.folder, at_most=KEPT_BUNDLES)
    except RemoteError as error:
        progress(f"earlier bundles in {place.folder} are still there: {error}")
        return
    removed = answer.get("removed") if isinstance(answer, dict) else None
    if removed:
        progress(f"removed {len(removed)} earlier bundles there: the last {KEPT_BUNDLES} stay")


def _clean_up(place: Place, progress: Progress) -> bool:
    """Remove our folder, unless an earlier run keeps it; a failure is told, and hides no earlier error.

    Returns whether it is gone.
    """
    try:
        answer = place.ask("remove", folder=place.folder)
    except RemoteError as error:
        progress(f"{place.folder} is still there: {error}")
        return False
    removed = isinstance(answer, dict) and answer.get("removed") is True
    if isinstance(answer, dict) and answer.get("kept") is True:
        progress(f"{place.folder} stays there: an earlier run with --keep asked for it. To end that, remove it there")
        _tidy(place, progress)
        return False
    progress("cleaned up there (--keep leaves it, so that next time only changes are copied)" if removed else
             f"{place.folder} is left: another benchmark is running in it")  # fmt: skip
    return removed
