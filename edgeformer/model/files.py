"""Reading the files of a model directory, each with an error that says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import ModelError

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def check_is_the_file(path: Path) -> None:
    """Raise ModelError where ``path`` stands in for the file: a Git LFS pointer, a dead link, a saved web page."""
    if path.is_symlink() and not path.exists():
        raise ModelError(f"{path}: is a link to {path.readlink()}, which isn't there: the download was not finished")
    with path.open("rb") as file:
        head = file.read(200)
    if head.startswith(_LFS_POINTER):
        size = next((line.split()[1] for line in head.splitlines() if line.startswith(b"size ")), b"?")
        raise ModelError(
            f"{path}: is a Git LFS pointer of a few lines, not the file of {size.decode()} bytes: run `git lfs pull` "
            "there, or fetch the file"
        )
    if head.lstrip()[:1] == b"<":
        raise ModelError(
            f"{path}: begins with {head.lstrip()[:20].decode(errors='replace')!r}: a web page was saved in its place. "
            "A gated model needs its terms accepted and a token; then fetch the file again"
        )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises ModelError naming file and line."""
    value = read_json_value(path)
    if not isinstance(value, dict):
        raise ModelError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def read_json_value(path: Path) -> Any:
    """What a JSON file holds; raises ModelError naming file and line."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: not found") from error
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, no UTF-8, or a number of 4,301 digits
        check_is_the_file(path)
        raise ModelError(f"{path}: not valid JSON: {error}{_comment_hint(path, error)}") from error


def _comment_hint(path: Path, error: Exception) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return ""
    rest = error.doc[error.pos :].lstrip()
    return ". JSON has no comments: take them out" if rest.startswith(("//", "/*", "#")) else ""
