"""`edgeformer-run bench`: latency, memory, temperature and power of a bundle on this device."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..errors import InputError
from .base import Shared


def add(commands: Any, shared: Shared) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "bench", parents=[shared.bundle, shared.engine, shared.debug], help="measure latency and memory"
    )
    parser.add_argument("--runs", type=int, metavar="N", help="timed runs (default 100; 1000 for p99)")
    parser.add_argument("--duration", type=float, metavar="S", help="time for S seconds instead")
    parser.add_argument("--sequence-length", type=int, metavar="N", help="default: a middle one of the variant's")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON; '-' is standard output")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    from ..session import Session

    with Session.open(options.bundle, variant=options.variant, threads=options.threads) as session:
        print(f"measuring {session.variant.name} on {session.engine} …", file=sys.stderr)
        report = session.benchmark(options.runs, options.duration, options.sequence_length)
    if options.json == "-":
        sys.stdout.write(report.to_json())
        return
    if options.json is not None:
        try:
            Path(options.json).write_text(report.to_json(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"--json {options.json}: can't be written: {error}") from error
    print(report.table())
