"""Which of a bundle's files some of its variants need, and how large they are."""

from __future__ import annotations

from collections.abc import Sequence

from edgeformer_runtime.bundle.manifest import Manifest, VariantEntry
from edgeformer_runtime.bundle.manifest_text import manifest_text
from edgeformer_runtime.files.listing import FileEntry

_MODELS = "variants/"


def needed_files(manifest: Manifest, variants: Sequence[VariantEntry]) -> list[FileEntry]:
    """Every file of the bundle but those of other variants."""
    places = [graph.path for item in variants for graph in item.graphs.values()]
    others = [graph.path for item in manifest.variants if item not in variants for graph in item.graphs.values()]

    def belongs(path: str, among: Sequence[str]) -> bool:
        return any(path == place or path.startswith(f"{place}/") for place in among)

    return [
        entry
        for entry in manifest.files
        if belongs(entry.path, places) or not (belongs(entry.path, others) or entry.path.startswith(_MODELS))
    ]


def bundle_bytes_by_part(manifest: Manifest) -> dict[str, int]:
    """Bytes of a bundle about to be published, without its reports, by part; see ``size_bytes_by_part``."""
    return {**size_bytes_by_part(manifest.files), "manifest": len(manifest_text(manifest).encode("utf-8"))}


def size_bytes_by_part(files: Sequence[FileEntry]) -> dict[str, int]:
    """Bytes by what files are for: "variants", "preprocess", "golden" (rows for the first check) and "other"."""
    sizes = {"variants": 0, "preprocess": 0, "golden": 0, "other": 0}
    for entry in files:
        part = entry.path.split("/")[0].split(".")[0]
        sizes[part if part in sizes else "other"] += entry.bytes
    return sizes
