"""inspect, verify and devices: looking at what is there, changing nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import edgeformer_devices
from edgeformer_runtime.bundle.bundle import Bundle

from ..terminal.table import bundle_json, bundle_table, percent, text_table


def inspect_path(path: Path) -> dict[str, Any]:
    """What a model directory or a bundle holds; raises the errors of loading either."""
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


def verify_bundle(path: Path, evaluation: Path | None, progress: Callable[[str], None]) -> dict[str, Any]:
    """Check every hash, then execute every variant that an engine here can run, and compare them with each other.

    The torch model is not in the bundle, so Core ML's variant, or else the first, stands in as the reference; with
    ``evaluation`` each variant is judged on the labels as well. What devices' engines run is also compared with the
    golden rows that the compile stored: EngineError where it differs.
    """
    from ..variants.bundle_verification import verify_variants_of

    with Bundle.open(path) as bundle:
        progress("hashes: every file is as the manifest says")
        return verify_variants_of(bundle, evaluation, progress)


def verification_table(found: dict[str, Any]) -> str:
    """For a terminal."""
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


def devices_json(name: str | None) -> dict[str, Any]:
    """One profile, or all."""
    names = (name,) if name else edgeformer_devices.names()
    return {item: asdict(edgeformer_devices.load(item)) for item in names}


def device_table(found: dict[str, Any]) -> str:
    """For a terminal: a row a device, or every field and source of one."""
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
