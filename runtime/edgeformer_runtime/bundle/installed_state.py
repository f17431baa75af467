"""installed.json: which of the bundles in a directory of `install` is the current one, and which was before.

A pointer file instead of a symbolic link: SD cards in FAT or exFAT and Windows have no links, one file holds current
and previous together, and it is replaced in one rename.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional, Union

from ..errors import BundleNotFoundError, RuntimeBundleError
from ..files.durable import write_replacing
from ..files.safe_files import read_plain
from ..files.strict_json import read_json

INSTALLED_NAME = "installed.json"
TEMPORARY_NAME = ".installed.json.new"
MAX_STATE_BYTES = 64 << 10
# A directory's name: the bundle's digest, with a number where a damaged one of that name is in the way.
DIRECTORY_NAME = re.compile(r"[0-9a-f]{64}(\.[1-9][0-9]{0,2})?")


@dataclass(frozen=True)
class InstalledBundle:
    """One installed bundle: ``directory`` is its name below the directory of `install`."""

    directory: str
    digest: str
    name: str
    signed_by: Optional[str] = None  # id of the key that it was checked with when it was installed


@dataclass(frozen=True)
class InstallState:
    """What installed.json says."""

    current: InstalledBundle
    previous: Optional[InstalledBundle] = None

    def to_json(self) -> str:
        """The text of installed.json."""
        return json.dumps({"format_version": 1, **asdict(self)}, indent=1, sort_keys=True) + "\n"


def read_state(directory: Path) -> Optional[InstallState]:
    """The state of ``directory``; None where nothing was installed. Raises RuntimeBundleError when it is damaged."""
    try:
        content = read_plain(directory / INSTALLED_NAME, INSTALLED_NAME, MAX_STATE_BYTES)
    except FileNotFoundError:
        return None
    value = read_json(content, INSTALLED_NAME, MAX_STATE_BYTES)
    if not isinstance(value, dict) or set(value) != {"format_version", "current", "previous"}:
        raise _damaged("expected an object with format_version, current and previous")
    if value["format_version"] != 1:
        raise RuntimeBundleError(f"{INSTALLED_NAME}: made by a newer edgeformer: update edgeformer-runtime")
    previous = value["previous"]
    return InstallState(_bundle(value["current"]), None if previous is None else _bundle(previous))


def installed_state(directory: Union[str, Path]) -> InstallState:
    """What is installed in ``directory``; raises BundleNotFoundError, RuntimeBundleError."""
    state = read_state(Path(directory))
    if state is None:
        raise BundleNotFoundError(f"{directory}: nothing is installed there: expected a directory of `install`")
    return state


def write_state(directory: Path, state: InstallState) -> None:
    """Make ``state`` the one of ``directory``, in one step that a power cut doesn't undo."""
    write_replacing(directory / INSTALLED_NAME, state.to_json().encode("utf-8"), directory / TEMPORARY_NAME)


def _bundle(value: Any) -> InstalledBundle:
    if not isinstance(value, dict) or set(value) != {"directory", "digest", "name", "signed_by"}:
        raise _damaged("expected directory, digest, name and signed_by of each bundle")
    texts = [value[key] for key in ("directory", "digest", "name")]
    if not all(isinstance(text, str) for text in texts) or not isinstance(value["signed_by"], (str, type(None))):
        raise _damaged("expected texts")
    if DIRECTORY_NAME.fullmatch(value["directory"]) is None or value["directory"][:64] != value["digest"]:
        raise _damaged(f"{value['directory'][:80]!r} is no directory of a bundle")
    return InstalledBundle(**value)


def _damaged(problem: str) -> RuntimeBundleError:
    return RuntimeBundleError(
        f"{INSTALLED_NAME}: {problem}: the file is damaged. Remove it and install the bundle again"
    )
