"""The text of manifest.json."""

from __future__ import annotations

import json
from dataclasses import asdict

from .checksum import NO_CHECKSUM, checksum_of
from .manifest import Manifest


def manifest_text(manifest: Manifest) -> str:
    """With sorted keys, so that equal manifests are equal bytes, and with its checksum."""
    zeros = NO_CHECKSUM.decode("ascii")
    values = {**asdict(manifest), "checksum": zeros}
    text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    key = f'\n "checksum": "{zeros}"'  # of the top level: deeper ones stand further to the right
    return text.replace(key, key.replace(zeros, checksum_of(text.encode("utf-8"))), 1)
