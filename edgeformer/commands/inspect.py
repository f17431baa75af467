"""`edgeformer inspect`: what a model or a bundle holds, changing nothing."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeformer_runtime.terminal import say

from ..errors import InputError
from ..torch_build import require_torch
from .base import add_command


def add(commands: Any) -> None:
    """Add the command to the command line."""
    command = add_command(commands, "inspect", "show what a model or a bundle holds", run)
    command.add_argument("path", metavar="MODEL|BUNDLE")
    what = "what an app has to add for a bundle, what of it runs there, sizes, and code to paste"
    command.add_argument("--for", dest="platform", metavar="android|ios|web", help=what)


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    if options.platform is not None:
        from ..terminal.app_guide import guide_text

        guide = inspect_for(Path(options.path), options.platform)
        say(json.dumps(guide) if options.json else guide_text(guide))
        return
    require_torch()
    found = inspect_path(Path(options.path))
    say(json.dumps(found) if options.json else inspection_table(found))


def is_bundle(path: Path) -> bool:
    """Whether ``path`` is a bundle's directory, or a .zip, which only a bundle comes in."""
    return path.suffix == ".zip" or (path / "manifest.json").is_file()


def inspect_path(path: Path) -> dict[str, Any]:
    """What a model directory or a bundle holds; raises the errors of loading either."""
    from edgeformer_runtime.bundle.bundle import Bundle

    from ..terminal.table import bundle_json, bundle_table

    if is_bundle(path):
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


def inspect_for(path: Path, platform: str) -> dict[str, Any]:
    """What an app on ``platform`` has to add for the bundle at ``path``; raises InputError where it can't run there."""
    from edgeformer_runtime.bundle.bundle import Bundle

    from ..apps import get_platform
    from ..apps.guide import app_guide

    chosen = get_platform(platform)
    if not is_bundle(path):
        raise InputError(f"--for {platform}: {path} is no bundle: compile the model first, with --for {platform}")
    with Bundle.open(path) as bundle:
        return app_guide(bundle, chosen)
