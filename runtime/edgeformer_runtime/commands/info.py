"""`edgeformer-run info`: what a bundle holds, and what runs here."""

from __future__ import annotations

import argparse
from typing import Any, Dict, List

from .base import Shared, print_json


def add(commands: Any, shared: Shared) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "info", parents=[shared.bundle, shared.debug], help="what the bundle holds, and what runs here"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    from ..bundle import Bundle
    from ..selection import candidates

    with Bundle.open(options.bundle) as bundle:
        manifest = bundle.manifest
        variants: List[Dict[str, Any]] = [
            {
                "name": item.variant.name,
                "format": item.variant.format,
                "engine": item.variant.engine,
                "size_bytes": item.variant.size_bytes,
                "sequence_lengths": list(item.variant.sequence_lengths),
                "usable": item.availability.usable,
                "package": item.availability.package,
                "version": item.availability.version,
                "reason": item.availability.reason,
            }
            for item in candidates(bundle)
        ]
        value = {
            "name": manifest.name,
            "digest": bundle.digest,
            "task": manifest.task.name,
            "labels": list(manifest.task.labels),
            "producer": manifest.producer,
            "format_version": manifest.format_version,
            "max_length": manifest.preprocess.max_length if manifest.preprocess is not None else None,
            "variants": variants,
        }
    if options.json:
        print_json(value)
        return
    print(f"{manifest.name}: {manifest.task.name}, made by {manifest.producer or 'an unnamed producer'}")
    print(f"digest {bundle.digest}")
    if manifest.task.labels:
        print(f"labels {', '.join(manifest.task.labels)}")
    for item in variants:
        usable = f"runs here on {item['package']} {item['version']}" if item["usable"] else f"no: {item['reason']}"
        print(f"  {item['name']:<20}{item['size_bytes'] / 1e6:8.2f} MB  {usable}")
