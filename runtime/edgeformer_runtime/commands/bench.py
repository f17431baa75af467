"""`edgeformer-run bench`: latency, memory, temperature and power of a bundle on this device."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError
from ..terminal import out, say, tell
from .base import Shared, opening

SUSTAINED_MINUTES = 30


def add(commands: Any, shared: Shared) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "bench",
        parents=[shared.bundle, shared.engine, shared.debug],
        help="measure latency, memory, temperature, power",
        description="Measure a bundle by a protocol of about 40 s: idle, warm-up, five repeats, idle again. The last "
        "line says whether the figures are valid.",
    )
    parser.add_argument("--quick", action="store_true", help="a first look of about 3 s, labelled so")
    parser.add_argument("--runs", type=int, metavar="N", help="timed runs, over all repeats (1000 for p99)")
    parser.add_argument("--duration", type=float, metavar="S", help="time for S seconds, over all repeats")
    parser.add_argument(
        "--sustained",
        type=float,
        nargs="?",
        const=SUSTAINED_MINUTES,
        metavar="MINUTES",
        help=f"then run on for MINUTES ({SUSTAINED_MINUTES}) and report throughput and temperature over time",
    )
    parser.add_argument("--sequence-length", type=int, metavar="N", help="default: a middle one of the variant's")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON; '-' is standard output")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    from ..session import Session

    _check_writable(options.json)
    with Session.open(options.bundle, variant=options.variant, threads=options.threads, **opening(options)) as session:
        _progress(f"measuring {session.variant.name} on {session.engine}")
        report = session.benchmark(
            options.runs,
            options.duration,
            options.sequence_length,
            quick=options.quick,
            sustained_minutes=options.sustained,
            progress=_progress,
        )
    if options.json == "-":
        out().write(report.to_json())
        return
    if options.json is not None:
        try:
            Path(options.json).write_text(report.to_json(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"--json {options.json}: can't be written: {error}") from error
    say(report.table())


def _progress(message: str) -> None:
    tell(f"{message} …")


def _check_writable(path: Optional[str]) -> None:
    """Before minutes of measuring, not after them."""
    if path in (None, "-"):
        return
    target = Path(str(path))
    if target.is_dir() or not target.parent.is_dir() or not os.access(str(target.parent), os.W_OK):
        raise InputError(f"--json {path}: can't be written: expected a file in a directory that exists")
