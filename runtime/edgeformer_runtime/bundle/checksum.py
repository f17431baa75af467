"""The checksum of manifest.json: a flipped bit anywhere in its text is found without a signature."""

from __future__ import annotations

import hashlib
from typing import Any, Union

from ..files.strict_json import refuse

NO_CHECKSUM = b"0" * 64


def check_checksum(text: Union[str, bytes], value: Any) -> None:
    """Raise RuntimeBundleError unless the key "checksum" of a read manifest, where there is one, is the text's.

    It is the SHA-256 of the text with zeros in its own place, so that a bit that flipped anywhere in the text is
    found without a signature. It proves nothing about who wrote it.
    """
    checksum = value.get("checksum")
    if checksum is None:  # written by hand, or by an earlier release
        return
    content = text.encode("utf-8") if isinstance(text, str) else text
    stated = checksum.encode("ascii")
    if content.count(stated) != 1 or checksum_of(content.replace(stated, NO_CHECKSUM)) != checksum:
        refuse(
            f"manifest.json: expected the checksum {checksum}, which isn't that of its text: the file is damaged or "
            "altered, get the bundle again. If you changed it on purpose, remove its key 'checksum'"
        )


def checksum_of(content: bytes) -> str:
    """The checksum of a manifest whose text holds NO_CHECKSUM in the checksum's place."""
    return hashlib.sha256(content).hexdigest()
