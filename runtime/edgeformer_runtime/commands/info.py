"""`edgeformer-run info`: what a bundle holds, and what runs here."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any, Dict, Iterator, List

from ..terminal import say
from .base import Shared, opened, print_json


def add(commands: Any, shared: Shared) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "info", parents=[shared.bundle, shared.debug], help="what the bundle holds, and what runs here"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    from ..bundle.golden import read_golden
    from ..bundle.manifest import in_words
    from ..device import memory
    from ..engines import memory_need
    from ..variants.selection import candidates

    with opened(options) as bundle:
        manifest = bundle.manifest
        text = manifest.text
        golden = read_golden(bundle)
        variants: List[Dict[str, Any]] = [
            {
                "name": item.variant.name,
                "format": item.variant.format,
                "engine": item.variant.engine,
                "size_bytes": item.variant.size_bytes,
                "lengths": {name: list(sizes) for name, sizes in item.variant.lengths.items()},
                "usable": item.availability.usable,
                "package": item.availability.package,
                "version": item.availability.version,
                "reason": item.availability.reason,
                "runs_on": item.availability.engine if item.availability.usable else None,
                "how": "would run, slowly, on the CPU" if item.is_last_resort else "runs here",
                "passed_over": list(item.passed_over),
                "detail": item.availability.detail,
                "memory": _memory(memory.need(bundle.digest, item.variant, memory_need(item.variant))),
                "self_check": golden is not None and item.variant.name in golden.variants,
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
            "preprocess": [item.kind for item in manifest.preprocess],
            "max_length": text.max_length if text is not None else None,
            "prompts": dict(text.prompts) if text is not None else {},
            "default_prompt": text.default_prompt if text is not None else None,
            "similarity": manifest.task.similarity,
            "activation": manifest.task.activation,
            "memory_free_bytes": memory.free_bytes(),
            "variants": variants,
            "skipped": [asdict(item) for item in manifest.skipped],
        }
    if options.json:
        print_json(value)
        return
    say(f"{manifest.name}: {manifest.task.name}, made by {manifest.producer or 'an unnamed producer'}")
    say(f"digest {bundle.digest}")
    if manifest.task.labels:
        say(f"labels {', '.join(manifest.task.labels)}")
    for item in bundle.manifest.preprocess:
        say(f"takes {item.in_words()}")
    say(f"in {in_words(bundle.manifest.inputs)}; out {in_words(bundle.manifest.outputs)}")
    if value["prompts"]:
        default = value["default_prompt"]
        say(f"prompts {', '.join(sorted(value['prompts']))}; {'none' if default is None else default} unless asked")
    for item in variants:
        usable = f"{item['how']} on {item['package']} {item['version']}" if item["usable"] else f"no: {item['reason']}"
        say(f"  {item['name']:<20}{item['size_bytes'] / 1e6:8.2f} MB  {usable}")
        for line in _details(item):
            say(f"{'':<33}  {line}")
    for part in manifest.skipped:
        say(f"  {part.part} {part.name}: skipped: {part.reason}")
    free = value["memory_free_bytes"]
    say("memory free: " + ("unknown" if free is None else f"{free / 1e6:,.0f} MB"))


def _memory(need: Any) -> Dict[str, Any]:
    return {"load_bytes": need.load_bytes, "held_bytes": need.held_bytes, "measured_here": need.measured}


def _details(item: Dict[str, Any]) -> Iterator[str]:
    """What else is worth a line: memory, engines that were passed over, kernels, the self-check."""
    if not item["usable"]:
        return
    need = item["memory"]
    amount = "took" if need["measured_here"] else "takes at most about"
    held, load = (need[name] / 1e6 for name in ("held_bytes", "load_bytes"))
    opening = f", {load:,.0f} MB while it is opened" if load > held else ""
    yield f"{amount} {held:,.0f} MB of memory{opening}"
    for reason in item["passed_over"]:
        yield f"not on {reason}"
    if item["detail"]:
        yield str(item["detail"])
    if not item["self_check"]:
        yield "no golden outputs: an engine that computes wrongly would not be noticed"
