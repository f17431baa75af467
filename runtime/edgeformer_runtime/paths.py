"""Which relative paths a bundle may hold. Used for manifests, zip members and files on disk alike."""

from __future__ import annotations

import unicodedata
from typing import Dict, Iterable

from .errors import RuntimeBundleError

MAX_PATH_BYTES = 1024
MAX_COMPONENT_BYTES = 255  # the limit of ext4, APFS and NTFS


def check_relative_path(path: str, where: str) -> None:
    """Raise RuntimeBundleError unless ``path`` is a plain relative POSIX path that stays inside its
    directory.

    ``where`` names the place that holds the path, for the message.
    """
    problem = _problem(path)
    if problem:
        raise RuntimeBundleError(
            f"{where}: path {path[:200]!r} {problem}: expected a relative path inside the bundle with '/' "
            "between its parts. The bundle is damaged or was made to do harm: get it again from its source"
        )


def check_distinct(paths: Iterable[str], where: str) -> None:
    """Raise RuntimeBundleError if two paths are one file on some file system, or one is a folder of another.

    "A.txt" and "a.txt" are one file on macOS and Windows, as are the composed and decomposed forms of "é".
    """
    seen: Dict[str, str] = {}
    for path in paths:
        key = _folded(path)
        if key in seen:
            raise RuntimeBundleError(
                f"{where}: paths {seen[key]!r} and {path!r} name one file on some file systems: expected each file once"
            )
        seen[key] = path
    for key, path in seen.items():
        parents = key.split("/")[:-1]
        for count in range(1, len(parents) + 1):
            parent = "/".join(parents[:count])
            if parent in seen:
                raise RuntimeBundleError(f"{where}: {seen[parent]!r} is both a file and the folder of {path!r}")


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _problem(path: str) -> str:
    """What is wrong with ``path``; empty when nothing is."""
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if not path:
        return "is empty"
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "holds a control character"
    if path.startswith("/"):
        return "is absolute"
    if "\\" in path or ":" in path:
        return "holds a backslash or a colon, which mean drives and folders on Windows"
    parts = path.split("/")
    if ".." in parts:
        return "leaves the bundle"
    if "" in parts or "." in parts:
        return "has an empty or '.' part"
    if len(encoded) > MAX_PATH_BYTES or any(len(part.encode("utf-8")) > MAX_COMPONENT_BYTES for part in parts):
        return "is too long"
    return ""
