"""The checksum of manifest.json: a flipped bit anywhere in it is found without a signature.

The file begins with a line ``{`` and a line `` "checksum": "…",``; the checksum is the SHA-256 of every byte after
them. It proves nothing about who wrote the file.
"""

from __future__ import annotations

import hashlib
from typing import Any, Union

from ..errors import RuntimeBundleError

_BEFORE, _AFTER = b'{\n "checksum": "', b'",\n'
_DIGITS = 64
HASHED_FROM = len(_BEFORE) + _DIGITS + len(_AFTER)  # 83: the first byte that is hashed


def with_checksum(members: str) -> str:
    """The text of a JSON object whose members, each on lines of its own, and closing brace are ``members``."""
    digest = hashlib.sha256(members.encode("utf-8")).hexdigest()
    return f"{_BEFORE.decode()}{digest}{_AFTER.decode()}{members}"


def check_checksum(text: Union[str, bytes], value: Any) -> None:
    """Raise RuntimeBundleError unless the key "checksum" of a read manifest, where there is one, is the text's."""
    stated = value.get("checksum")
    if stated is None:  # written by hand
        return
    content = text.encode("utf-8") if isinstance(text, str) else text
    found = hashlib.sha256(content[HASHED_FROM:]).hexdigest()
    if content[:HASHED_FROM] != _BEFORE + stated.encode("ascii") + _AFTER or stated != found:
        raise RuntimeBundleError(
            f"manifest.json: expected the checksum {stated}, which isn't that of its text: the file is damaged or "
            "altered, get the bundle again. If you changed it on purpose, remove its key 'checksum'",
            code="checksum",
        )
