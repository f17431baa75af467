"""The text of manifest.json, as FORMAT.md describes it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Dict

from ..errors import InputError
from ..preprocess.registry import write_preprocess
from .checksum import with_checksum
from .manifest import Manifest, TaskSpec

_NUMBERS = ("threshold", "longest_answer", "scale", "bias")
_RARE = ("scale", "bias", "hypothesis_template", "label_vectors")  # written where they say something


def manifest_text(manifest: Manifest) -> str:
    """With sorted keys, so that equal manifests are equal bytes, and with its checksum.

    Raises InputError for a manifest of which parts were skipped: they would be lost.
    """
    if manifest.skipped:
        lost = ", ".join(f"{item.part} {item.name!r}" for item in manifest.skipped)
        raise InputError(f"manifest {manifest.name!r}: {lost} would be lost: this release doesn't know what it is")
    text = json.dumps(manifest_data(manifest), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return with_checksum(text[len("{\n") :] + "\n")


def manifest_data(manifest: Manifest) -> Dict[str, Any]:
    """The same as JSON data, without the checksum."""
    values = asdict(manifest)
    for key in ("skipped", "inputs", "outputs"):
        del values[key]
    values["task"] = _task(manifest.task)
    values["signature"] = {"inputs": _tensors(manifest.inputs), "outputs": _tensors(manifest.outputs)}
    values["preprocess"] = [write_preprocess(item) for item in manifest.preprocess]
    return values


def _task(task: TaskSpec) -> Dict[str, Any]:
    plain = TaskSpec(task.name)
    values = {key: value for key, value in asdict(task).items() if key not in _RARE or value != getattr(plain, key)}
    numbers = {name: values.pop(name) for name in _NUMBERS if name in values}
    return {"kind": values.pop("name"), **values, "numbers": numbers}


def _tensors(specs: Any) -> Any:
    return [asdict(spec) for spec in specs]
