"""`edgeformer sensitivity`: what each layer loses in each format, as JSON and as a table."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeformer_runtime.terminal import say

from ..torch_build import require_torch
from .base import Progress, add_command, names

if TYPE_CHECKING:
    from ..sensitivity.profile import LayerProfile, Profile


def add(commands: Any) -> None:
    """Add the command to the command line."""
    command = add_command(commands, "sensitivity", "measure what each layer loses in each format", run)
    option = command.add_argument
    option("model", metavar="MODEL", help="Hugging Face directory")
    option("--adapter", action="append", default=[], metavar="DIR[=WEIGHT]", help="peft adapter to merge; repeatable")
    option("--calibration", type=Path, required=True, metavar="FILE", help="CSV or JSONL rows to measure on")
    option("--formats", type=names, default=("int8", "int4", "int4-block32"), metavar="int8,int4,…")
    option("--algorithm", default="mse", metavar="NAME", help="how integers are chosen: rtn, mse, gptq")
    option("--metric", action="store_true", help="the task's metric as well (labelled rows; takes whole runs)")
    option("--exact", action="store_true", help="run every change to the outputs, without gradients behind its block")
    option("--rows", type=int, default=256, metavar="N", help="rows at most")
    option("-o", "--output", type=Path, metavar="FILE", help="write the profile as JSON")
    option("--no-resume", action="store_true", help="measure again")


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    require_torch()
    from ..profiling import sensitivity

    found = sensitivity(
        options.model,
        calibration=options.calibration,
        adapters=options.adapter,
        formats=options.formats,
        algorithm=options.algorithm,
        metric=options.metric,
        exact=options.exact,
        max_rows=options.rows,
        resume=not options.no_resume,
        progress=Progress(),
    )
    if options.output is not None:
        write_profile(found, options.output)
    say(json.dumps(found.to_dict()) if options.json else profile_table(found))


def write_profile(profile: Profile, path: Path) -> None:
    """Write the JSON in one step: there is the whole file or none."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made.write_text(profile.to_json(), encoding="utf-8")
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def profile_table(profile: Profile) -> str:
    """Layers × formats for a terminal: the damage, and the metric where it was measured."""
    from ..terminal.table import percent, text_table

    header = ("layer", "role", "shape", "MB float32", *profile.formats)
    rows = [_row(layer, profile) for layer in profile.layers]
    head = f"{profile.model_name}: {profile.damage_unit} when one layer alone changes, {profile.rows} rows, " + (
        f"integers by {profile.algorithm}"
    )
    lines = [head, text_table(header, rows)]
    if profile.metric_unchanged is not None:
        lines.append(f"in brackets the metric; unchanged it is {percent(profile.metric_unchanged)}")
    refusals = {entry.reason for layer in profile.layers for entry in layer.formats.values() if entry.reason}
    return "\n".join(lines + [f"- : {reason}" for reason in sorted(refusals)])


def _row(layer: LayerProfile, profile: Profile) -> tuple[str, ...]:
    from ..terminal.table import percent

    cells = []
    for name in profile.formats:
        entry = layer.formats[name]
        cell = "-" if entry.damage is None else f"{entry.damage:.2e}"
        cells.append(cell if entry.metric is None else f"{cell} ({percent(entry.metric)})")
    shape = "x".join(map(str, layer.shape))
    return (layer.path, layer.role, shape, f"{layer.size_bytes_float32 / 1e6:.2f}", *cells)
