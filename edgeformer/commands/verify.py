"""`edgeformer verify`: a bundle's hashes, then its variants again, against each other and its golden rows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeformer_runtime.terminal import say

from ..torch_build import require_torch
from .base import Progress, add_command


def add(commands: Any) -> None:
    """Add the command to the command line."""
    command = add_command(commands, "verify", "check a bundle's hashes and run its variants again", run)
    command.add_argument("bundle", metavar="BUNDLE")
    command.add_argument("--evaluation", type=Path, metavar="FILE", help="labelled samples to judge on")


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    require_torch()
    found = verify_bundle(Path(options.bundle), options.evaluation, Progress())
    say(json.dumps(found) if options.json else verification_table(found))


def verify_bundle(path: Path, evaluation: Path | None, progress: Callable[[str], None]) -> dict[str, Any]:
    """Check every hash, then execute every variant that an engine here can run, and compare them with each other.

    The torch model is not in the bundle, so Core ML's variant, or else the first, stands in as the reference; with
    ``evaluation`` each variant is judged on the labels as well. What devices' engines run is also compared with the
    golden rows that the compile stored: EngineError where it differs.
    """
    from edgeformer_runtime.bundle.bundle import Bundle

    from ..variants.bundle_verification import verify_variants_of

    with Bundle.open(path) as bundle:
        progress("hashes: every file is as the manifest says")
        return verify_variants_of(bundle, evaluation, progress)


def verification_table(found: dict[str, Any]) -> str:
    """For a terminal."""
    from ..terminal.table import percent, text_table

    header = ("variant", "samples", "cosine min", "agreement", "metric", "at compile", "executed by")
    rows = [
        (
            row["variant"],
            str(row["samples"]) if row["samples"] else "-",
            "-" if row["cosine_min"] is None else f"{row['cosine_min']:.5f}",
            percent(row["agreement"]),
            percent(row["metric"]),
            percent(row["metric_at_compile"]),
            row["executed_by"] or f"not executed: {row['reason']}",
        )
        for row in found["variants"]
    ]
    checks = [f"{row['variant']}: {row['golden_rows']}" for row in found["variants"] if row["golden_rows"]]
    return "\n".join(
        [
            f"{found['bundle']}: cosine and agreement are with variant {found['reference']}",
            text_table(header, rows),
            *checks,
        ]
    )
