"""`edgeformer bench`: measure a bundle here or on a device, and what to show of it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeformer_runtime.terminal import say

from .base import Progress

if TYPE_CHECKING:
    from edgeformer_devices.remote import EmulatedRun, Measured

_WHERE = "local, ssh://[user@]host[:port], adb://SERIAL or emulated://BOARD (default: local)"


def add(commands: Any) -> None:
    """Add the command to the command line."""
    summary = "measure a bundle here, on a device over ssh or adb, or try it on an emulated board"
    command = commands.add_parser("bench", help=summary, description=summary)
    command.set_defaults(run=run)
    option = command.add_argument
    option("bundle", metavar="BUNDLE", help="bundle directory, or a .zip of one")
    option("--on", default="local", metavar="WHERE", help=_WHERE)
    option("--variant", default="auto", metavar="NAME", help="default: the fastest one there")
    option("--threads", type=int, metavar="N", help="default: the cores that a process may use there")
    option("--runs", type=int, metavar="N", help="timed runs, over all repeats")
    option("--duration", type=float, metavar="S", help="time for S seconds")
    option("--sustained", type=float, metavar="MINUTES", help="then run on and report throughput over time")
    option("--sequence-length", type=int, metavar="N", help="default: a middle one of the variant's")
    option("--quick", action="store_true", help="a first look of a few seconds, labelled so")
    option("--engine", metavar="NAME", help="onnxruntime, litert, tflite-runtime, or 'installed' for what the device's "
        "Python has already (default: what the bundle's variants need)")  # fmt: skip
    option("--install", metavar="WAY", help="who fetches the engine: workstation (the device needs no network) or "
        "device (its own pip); default: the workstation, else the device")  # fmt: skip
    option(
        "--keep",
        action="store_true",
        help="leave everything there, of bundles the last two: next time only what changed is copied",
    )
    option(
        "--json",
        metavar="FILE",
        help="write the report as JSON, for 'edgeformer report compare'; '-' is standard output",
    )
    option("--debug", action="store_true", help="show the traceback of an error")
    option("--ssh-config", type=Path, metavar="FILE", help="read this in place of ~/.ssh/config")


def run(options: argparse.Namespace) -> None:
    """Do what the command line says; raises RemoteError when an emulated board computes something else than we.

    A KeyboardInterrupt leaves it with the text to print.
    """
    try:
        _run(options, Progress())
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(str(error) or "interrupted") from error


def _run(options: argparse.Namespace, progress: Callable[[str], None]) -> None:
    from edgeformer_devices.remote import EmulatedRun, Options, RemoteError, bench, parse_address
    from edgeformer_runtime.bundle.bundle import Bundle

    address = parse_address(options.on)
    chosen = Options(
        variant=options.variant, threads=options.threads, runs=options.runs, duration_s=options.duration,
        sustained_minutes=options.sustained, sequence_length=options.sequence_length, quick=options.quick,
        engine=options.engine, way=options.install, keep=options.keep,
    )  # fmt: skip
    check_writable(options.json)
    with Bundle.open(options.bundle) as bundle:
        found = bench(bundle, address, chosen, ssh_config=options.ssh_config, progress=progress)
    text = json.dumps(found.to_dict(), indent=1, sort_keys=True, allow_nan=False)
    if options.json not in (None, "-"):
        Path(options.json).write_text(text + "\n", encoding="utf-8")
    say(text if options.json == "-" else table(found))
    if isinstance(found, EmulatedRun) and not found.passed:
        raise RemoteError(f"{found.address}: the bundle doesn't compute there what it computes here: see above")


def check_writable(path: str | None) -> None:
    """Before minutes of measuring, not after them; raises InputError."""
    if path is None or path == "-":
        return
    from ..errors import InputError

    target = Path(path)
    if target.is_dir() or not target.parent.is_dir():
        raise InputError(f"--json {path}: expected a file in a folder that exists")


def table(found: Measured | EmulatedRun) -> str:
    """For a terminal."""
    from edgeformer_devices.remote import EmulatedRun
    from edgeformer_devices.remote.base import printable

    if isinstance(found, EmulatedRun):
        return _emulated_table(found)
    how = {
        "installed": "the engine that was there",
        "workstation": "engine sent from here",
        "device": "engine by its pip",
    }
    lines = [
        printable(found.report.table()),  # a device wrote its names
        f"{'reached':<16}{found.address}: {found.machine}, Python {found.python}; {how[found.installed.way]}, "
        f"{found.sent_bytes / 1e6:.1f} MB sent",
        *(f"{'note':<16}{note}" for note in found.installed.notes),
    ]
    return "\n".join(lines)


def _emulated_table(found: EmulatedRun) -> str:
    from ..terminal.table import text_table

    header = (
        "variant",
        "runs",
        "largest difference",
        "of the largest output",
        "cosine min",
        "agreement",
        "engine there",
    )
    rows = [
        (
            row.variant,
            "yes" if row.ran else "no",
            _number(row.max_difference, ".2e"),
            _number(row.max_relative_difference, ".2e"),
            _number(row.cosine_min, ".6f"),
            _number(row.agreement, ".3f"),
            row.engine or "-",
        )
        for row in found.variants
    ]
    lines = [
        f"{found.bundle_name} ({found.bundle_digest[:12]}) on {found.address}: {found.machine}",
        f"outputs for {found.inputs} inputs, compared with the same variants on this machine",
        text_table(header, rows),
        *(f"{row.variant}: {row.reason}" for row in found.variants if row.reason),
        *(f"note: {text}" for text in (found.note, *found.missing) if text),
        "latency, memory, power: not reported. An emulated program's times say nothing about the board's.",
        _verdict(found),
    ]
    return "\n".join(lines)


def _verdict(found: EmulatedRun) -> str:
    """What `EmulatedRun.passed` went by, with its numbers."""
    from edgeformer_devices.remote.emulated_run import MAX_DIFFERENCE

    ran = sum(row.ran for row in found.variants)
    compared = [row for row in found.variants if row.max_relative_difference is not None]
    apart = [row.variant for row in compared if row.equal is False]
    failed = [row.variant for row in found.variants if row.failed]
    limit = f"{MAX_DIFFERENCE} of the largest output here"
    counts = f"{ran} of {len(found.variants)} variants ran there, {len(compared)} were compared with the same here"
    if found.passed:
        outcome = f"passed: {counts}, and none of these differs by more than {limit}, nor did any fail"
    else:
        reasons = [
            *(["none ran"] if not ran else []),
            *([f"{', '.join(failed)} failed"] if failed else []),
            *([f"{', '.join(apart)} differs by more than {limit}"] if apart else []),
        ]
        outcome = f"FAILED: {counts}; {'; '.join(reasons)}"
    return f"{outcome} (cosine and agreement don't decide)"


def _number(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)
