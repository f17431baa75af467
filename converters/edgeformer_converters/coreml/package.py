"""Writing a .mlpackage that depends on the model only: no dates, random identifiers, or tool versions."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_AUTHOR = "com.apple.CoreML"
SPECIFICATION = Path("Data") / _AUTHOR / "model.mlmodel"
WEIGHTS = Path("Data") / _AUTHOR / "weights"


def write_package(model: Any, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a converted ``coremltools.models.MLModel`` to ``path``, a directory that is replaced.

    ``metadata`` becomes the model's user-defined metadata, in place of coremltools' own, which has the date.
    """
    shutil.rmtree(path, ignore_errors=True)
    (path / WEIGHTS).mkdir(parents=True)
    for source in sorted(Path(model.weights_dir).iterdir()):
        shutil.copyfile(source, path / WEIGHTS / source.name)
    specification = model.get_spec()
    specification.mlProgram.attributes.clear()  # "buildInfo": versions of coremltools and torch
    specification.description.metadata.userDefined.clear()
    for key in sorted(metadata):
        specification.description.metadata.userDefined[key] = metadata[key]
    (path / SPECIFICATION).write_bytes(specification.SerializeToString(deterministic=True))
    (path / "Manifest.json").write_text(_manifest(path), encoding="utf-8")


def _manifest(path: Path) -> str:
    """Manifest.json: the two items of a package, whose identifiers are derived from their contents."""
    specification = _identifier(path / SPECIFICATION)
    weights = _identifier(*sorted((path / WEIGHTS).iterdir()))
    entries = {
        specification: ("CoreML Model Specification", SPECIFICATION.name, f"{_AUTHOR}/{SPECIFICATION.name}"),
        weights: ("CoreML Model Weights", WEIGHTS.name, f"{_AUTHOR}/{WEIGHTS.name}"),
    }
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            identifier: {"author": _AUTHOR, "description": description, "name": name, "path": item}
            for identifier, (description, name, item) in sorted(entries.items())
        },
        "rootModelIdentifier": specification,
    }
    return json.dumps(manifest, indent=4) + "\n"


def _identifier(*files: Path) -> str:
    """A UUID made from the contents and names of ``files``."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return str(uuid.uuid5(uuid.NAMESPACE_OID, digest.hexdigest()))
