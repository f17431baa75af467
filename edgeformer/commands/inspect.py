"""`edgeformer inspect`: what a model or a bundle holds, changing nothing."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeformer_runtime.terminal import say

from ..torch_build import require_torch
from .base import add_command


def add(commands: Any) -> None:
    """Add the command to the command line."""
    command = add_command(commands, "inspect", "show what a model or a bundle holds", run)
    command.add_argument("path", metavar="MODEL|BUNDLE")


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    require_torch()
    found = inspect_path(Path(options.path))
    say(json.dumps(found) if options.json else inspection_table(found))


def inspect_path(path: Path) -> dict[str, Any]:
    """What a model directory or a bundle holds; raises the errors of loading either."""
    from edgeformer_runtime.bundle.bundle import Bundle

    from ..terminal.table import bundle_json, bundle_table

    if path.suffix == ".zip" or (path / "manifest.json").is_file():
        with Bundle.open(path) as bundle:
            return {"kind": "bundle", "table": bundle_table(bundle), **bundle_json(bundle)}
    from ..families import architecture_for
    from ..loading.load import load_model
    from ..model.layers import quantizable_layers

    model = load_model(path)
    architecture = architecture_for(model.architecture)
    layers = quantizable_layers(model.module)
    roles = Counter[str]()
    for name, layer in layers.items():
        roles[architecture.role(name)] += sum(p.numel() for p in layer.parameters())
    return {
        "kind": "model",
        "name": model.name,
        "model_type": model.architecture,
        "architecture": architecture.name,
        "task": asdict(model.task),
        "parameters": model.parameter_count(),
        "size_bytes_float32": 4 * model.parameter_count(),
        "max_length": model.max_length,
        "parameters_by_role": dict(roles),
        "layers": {name: architecture.role(name) for name in layers},
        "untrained": sorted(model.untrained),
        "notes": list(model.notes),
    }


def inspection_table(found: dict[str, Any]) -> str:
    """For a terminal."""
    from ..terminal.table import percent, text_table

    if found["kind"] == "bundle":
        return str(found["table"])
    total = found["parameters"]
    rows = [
        (role, f"{count / 1e6:.2f} M", percent(count / total)) for role, count in found["parameters_by_role"].items()
    ]
    head = (
        f"{found['name']}: {found['model_type']} (read as {found['architecture']}), {found['task']['name']}, "
        f"{total / 1e6:.1f} M parameters, {found['size_bytes_float32'] / 1e6:.1f} MB in float32, "
        f"up to {found['max_length']} tokens"
    )
    tail = f"\nnot in any file: {', '.join(found['untrained'])}" if found["untrained"] else ""
    notes = "".join(f"\nnote: {note}" for note in found["notes"])
    return f"{head}\n{text_table(('role', 'parameters', 'share'), rows)}{tail}{notes}"
