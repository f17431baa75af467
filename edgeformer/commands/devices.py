"""`edgeformer devices`: the boards and phones whose facts are known."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from edgeformer_runtime.terminal import say

from .base import add_command


def add(commands: Any) -> None:
    """Add the command to the command line."""
    command = add_command(commands, "devices", "list the known devices, or show one", run)
    command.add_argument("name", nargs="?", metavar="NAME")


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    found = devices_json(options.name)
    say(json.dumps(found) if options.json else device_table(found))


def devices_json(name: str | None) -> dict[str, Any]:
    """One profile, or all."""
    import edgeformer_devices

    names = (name,) if name else edgeformer_devices.names()
    return {item: asdict(edgeformer_devices.load(item)) for item in names}


def device_table(found: dict[str, Any]) -> str:
    """For a terminal: a row a device, or every field and source of one."""
    from ..terminal.table import text_table

    if len(found) == 1:
        (profile,) = found.values()
        lines = [f"{key}: {value}" for key, value in profile.items() if key != "sources"]
        return "\n".join(lines + ["sources:"] + [f"  {key}: {text}" for key, text in profile["sources"].items()])
    rows = [
        (
            name,
            profile["title"],
            profile["arch"],
            str(profile["cpu_cores"]),
            f"{profile['memory_bytes'] / 2**30:.1f} GiB",
            ", ".join(f"{engine['name']} {engine['version']}" for engine in profile["engines"]),
        )
        for name, profile in found.items()
    ]
    return text_table(("name", "device", "arch", "cores", "memory", "engines"), rows)
