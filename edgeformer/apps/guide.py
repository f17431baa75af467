"""What an app on a platform has to add for one bundle: variants, sizes, libraries, and code to paste."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.manifest import VariantEntry
from edgeformer_runtime.bundle.names import MANIFEST_NAME

from ..errors import InputError
from .needs import needed_files, size_bytes_by_part
from .platform import Platform
from .task import Row


def app_guide(bundle: Bundle, platform: Platform) -> dict[str, Any]:
    """What `edgeformer inspect BUNDLE --for PLATFORM --json` prints; raises InputError where no variant runs there."""
    manifest = bundle.manifest
    running = platform.running(manifest)
    if not running:
        reasons = "; ".join(f"{item.name}: {platform.problem(item)}" for item in manifest.variants)
        formats = " or ".join(f"--format {engine.format}" for engine in platform.engines)
        raise InputError(
            f"bundle {manifest.name!r}: no variant runs in {platform.title} ({reasons}): compile it with {formats}"
        )
    row = Row.of(manifest)
    missing = [item.kind for item in manifest.preprocess if item.kind not in platform.kinds]
    if missing:
        row = Row("tensors", None, manifest.inputs)
    engine = platform.engine_for(running[0])
    if engine is None:
        raise ValueError(f"{running[0].name} runs, so it has an engine")
    return {
        "kind": "app",
        "platform": platform.name,
        "name": manifest.name,
        "task": manifest.task.name,
        "variants": [
            {
                "name": item.name,
                "size_bytes": item.size_bytes,
                "engine": item.engine,
                "min_engine_version": item.min_engine_version,
                "runs": item in running,
                "reason": platform.problem(item),
            }
            for item in manifest.variants
        ],
        "skipped": [asdict(item) for item in manifest.skipped],
        "sizes": _sizes(bundle, platform, running),
        "engines": [asdict(item) for item in platform.engines if any(v.engine == item.name for v in running)],
        "taken": engine.name,
        "steps": [asdict(step) for step in platform.steps(engine)],
        "language": platform.language,
        "code": platform.code(row, engine),
        "notes": _notes(bundle, platform, running, missing),
    }


def _sizes(bundle: Bundle, platform: Platform, running: list[VariantEntry]) -> dict[str, Any]:
    """Bytes, without reports, of the whole bundle, of what the app carries, and of what runs there with its needs."""
    manifest_bytes = (bundle.path / MANIFEST_NAME).stat().st_size
    needed = needed_files(bundle.manifest, running)
    bundle_bytes = manifest_bytes + sum(entry.bytes for entry in bundle.manifest.files)
    needed_bytes = manifest_bytes + sum(entry.bytes for entry in needed)
    return {
        "bundle_bytes": bundle_bytes,
        "carried_bytes": bundle_bytes if platform.whole_bundle else needed_bytes,
        "needed_bytes": needed_bytes,
        "needed_by_part": {"manifest": manifest_bytes, **size_bytes_by_part(needed)},
    }


def _notes(bundle: Bundle, platform: Platform, running: list[VariantEntry], missing: list[str]) -> list[str]:
    notes = []
    if platform.whole_bundle and len(running) < len(bundle.manifest.variants):
        notes.append(
            "a bundle is opened whole, so that the app carries other platforms' files, too, and none may be deleted: "
            f"`edgeformer compile MODEL -o BUNDLE --for {platform.name}` leaves them out"
        )
    for item in running:
        engine = platform.engine_for(item)
        if engine is not None and engine.version is None and item.min_engine_version is not None:
            notes.append(f"{item.name} needs {item.min_engine_version}: make it the app's minimum deployment target")
    others = [item.name for item in running if item.engine != running[0].engine]
    if others:
        notes.append(f"{', '.join(others)} runs in another engine: with both in the app the faster one is taken")
    half = [item.name for item in running if "float16" in item.weight_formats]
    if half:
        notes.append(f"{', '.join(half)} is for the GPU, asked for by {platform.gpu or 'no runtime there yet'}")
    if missing:
        notes.append(f"its runtime makes no inputs of kind {', '.join(missing)} yet: the code runs tensors")
    return notes
