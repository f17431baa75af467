"""`edgeformer-run sensors`: what this device is, and which power sensors it has."""

from __future__ import annotations

import argparse
from typing import Any

from .base import Shared, print_json


def add(commands: Any, shared: Shared) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("sensors", parents=[shared.debug], help="this device, and its power sensors")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    from .. import power
    from ..system import probe

    facts = probe()
    reading = power.read()
    if options.json:
        print_json({"device": facts.to_dict(), "power": reading.to_dict()})
        return
    for name, value in facts.to_dict().items():
        text = ", ".join(value) if isinstance(value, tuple) else value
        print(f"{name:<24}{'-' if text in (None, '') else text}")
    watts = f"{reading.watts} W ({reading.scope})" if reading.watts is not None else f"{reading.reason}"
    print(f"{'power':<24}{reading.status}: {watts}")
    for place in reading.looked_at:
        print(f"  {'found' if place.exists else 'none':<8}{place.path}: {place.note}")
