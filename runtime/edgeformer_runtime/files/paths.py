"""Which relative paths a bundle may hold. Used for manifests, zip members and files on disk alike."""

from __future__ import annotations

import re
import unicodedata
from typing import Dict, Iterable

from ..errors import PathError

MAX_PATH_BYTES = 1024
MAX_COMPONENT_BYTES = 255  # the limit of ext4, APFS and NTFS
_NOT_ON_WINDOWS = re.compile('[<>"|?*]')
MAX_PATH_PARTS = 32  # an .mlpackage has 7

# Windows takes these for devices, with any ending and in any case.
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "123456789\u00b9\u00b2\u00b3"]
)


def check_relative_path(path: str, where: str) -> None:
    """Raise RuntimeBundleError unless ``path`` is a plain relative POSIX path that stays inside its
    directory.

    ``where`` names the place that holds the path, for the message.
    """
    problem = _problem(path)
    if problem:
        raise PathError(
            f"{where}: path {path[:200]!r} {problem}: expected a relative path inside the bundle with '/' "
            "between its parts. The bundle is damaged or was made to do harm: get it again from its source"
        )


def check_distinct(paths: Iterable[str], where: str) -> None:
    """Raise RuntimeBundleError if two paths are one file on some file system, or one is a folder of another.

    "A.txt" and "a.txt" are one file on macOS and Windows, as are the composed and decomposed forms of "é".
    """
    seen: Dict[str, str] = {}
    folders: Dict[str, str] = {}  # as spelled, and with "/" before it as folded
    for path in paths:
        key = _folded(path)
        if key in seen:
            raise PathError(
                f"{where}: paths {seen[key]!r} and {path!r} name one file on some file systems: expected each file once"
            )
        seen[key] = path
        _check_folders(path, folders, where)
    for key, path in seen.items():
        parents = key.split("/")[:-1]
        for count in range(1, len(parents) + 1):
            parent = "/".join(parents[:count])
            if parent in seen:
                raise PathError(f"{where}: {seen[parent]!r} is both a file and the folder of {path!r}")


def _check_folders(path: str, folders: Dict[str, str], where: str) -> None:
    """The same for the folders of ``path``: "a/x" beside "A/y" would be two folders here and one elsewhere."""
    folder = path.rpartition("/")[0]
    while folder and folder not in folders:  # whose own folders were looked at with it
        folders[folder] = folder
        known = folders.setdefault("/" + _folded(folder), folder)
        if known != folder:
            raise PathError(
                f"{where}: folders {known!r} and {folder!r} are one on some file systems: expected one spelling"
            )
        folder = folder.rpartition("/")[0]


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
    if not path.isprintable():
        return "holds a control character, or one that can't be seen"
    if path.startswith("/"):
        return "is absolute"
    if "\\" in path or ":" in path:
        return "holds a backslash or a colon, which mean drives and folders on Windows"
    parts = path.split("/")
    if ".." in parts:
        return "leaves the bundle"
    if "" in parts or "." in parts:
        return "has an empty or '.' part"
    if _NOT_ON_WINDOWS.search(path):
        return "holds a character that Windows doesn't allow"
    if any(part.endswith((".", " ")) for part in parts):
        return "has a part that ends in a dot or a space, which Windows drops"
    if any(part.split(".")[0].rstrip(" ").casefold() in _RESERVED for part in parts):
        return "names a device of Windows"
    if len(parts) > MAX_PATH_PARTS:
        return f"has more than {MAX_PATH_PARTS} parts"
    if len(encoded) > MAX_PATH_BYTES or max(map(len, encoded.split(b"/"))) > MAX_COMPONENT_BYTES:
        return "is too long"
    return ""
