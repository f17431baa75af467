"""Are the files that are there those that the manifest lists?"""

from __future__ import annotations

from typing import List, Mapping

from ..errors import FilesError
from ..files.paths import check_distinct
from .manifest import Manifest
from .names import MANIFEST_NAME, MAX_REPORT_BYTES, MAX_SIGNATURE_BYTES, REPORT_NAMES, SIGNATURE_NAME


def check_listing(where: str, sizes: Mapping[str, int], manifest: Manifest) -> None:
    """Raise RuntimeBundleError unless ``sizes``, {path: bytes} of what is there, are the manifest's files.

    Beside them manifest.json, its signature and the reports may be there.
    """
    listed = {entry.path: entry for entry in manifest.files}
    present = {path for path in sizes if path != MANIFEST_NAME}
    check_distinct(present, where)
    missing = sorted(set(listed) - present)
    if missing:
        raise FilesError(f"{where}: {_some(missing)} is missing: the copy is incomplete, copy the bundle again")
    limits = {**dict.fromkeys(REPORT_NAMES, MAX_REPORT_BYTES), SIGNATURE_NAME: MAX_SIGNATURE_BYTES}
    for name, limit in limits.items():
        if name not in listed and sizes.get(name, 0) > limit:
            raise FilesError(
                f"{where}: {name!r} has {sizes[name]} bytes: expected at most "
                f"{limit}. The bundle works without it: move it elsewhere"
            )
    unlisted = sorted(present - set(listed) - set(limits))
    if unlisted:
        raise FilesError(
            f"{where}: {_some(unlisted)} is not in {MANIFEST_NAME}: expected only files of the "
            "bundle. Move it elsewhere"
        )
    for path, entry in listed.items():
        if sizes[path] != entry.bytes:
            raise FilesError(
                f"{where}: {path!r}: expected {entry.bytes} bytes, got {sizes[path]}: the "
                "file is damaged or altered, copy the bundle again"
            )


def _some(paths: List[str]) -> str:
    shown = ", ".join(repr(path) for path in paths[:3])
    return shown + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
