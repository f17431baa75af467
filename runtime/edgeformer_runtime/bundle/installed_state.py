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
from ..files.json_fields import Fields, UnknownPartError, below, optional, positive, refuse, sha256, string
from ..files.safe_files import read_plain
from ..files.strict_json import read_json

INSTALLED_NAME = "installed.json"
TEMPORARY_NAME = ".installed.json.new"
MAX_STATE_BYTES = 64 << 10
FORMAT_VERSION = 1
_DOCUMENT = f"{INSTALLED_NAME}: "
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
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, indent=1, sort_keys=True) + "\n"


def read_state(directory: Path) -> Optional[InstallState]:
    """The state of ``directory``; None where nothing was installed. Raises RuntimeBundleError when it is damaged."""
    try:
        content = read_plain(directory / INSTALLED_NAME, INSTALLED_NAME, MAX_STATE_BYTES)
    except FileNotFoundError:
        return None
    value = read_json(content, INSTALLED_NAME, MAX_STATE_BYTES)
    try:
        return _state(value)
    except UnknownPartError as error:
        raise RuntimeBundleError(f"{error}: made by a newer edgeformer: update edgeformer-runtime") from error
    except RuntimeBundleError as error:
        raise RuntimeBundleError(f"{error}: the file is damaged. Remove it and install the bundle again") from error


def installed_state(directory: Union[str, Path]) -> InstallState:
    """What is installed in ``directory``; raises BundleNotFoundError, RuntimeBundleError."""
    state = read_state(Path(directory))
    if state is None:
        raise BundleNotFoundError(f"{directory}: nothing is installed there: expected a directory of `install`")
    return state


def write_state(directory: Path, state: InstallState) -> None:
    """Make ``state`` the one of ``directory``, in one step that a power cut doesn't undo."""
    write_replacing(directory / INSTALLED_NAME, state.to_json().encode("utf-8"), directory / TEMPORARY_NAME)


def _state(value: Any) -> InstallState:
    fields = Fields(value, _DOCUMENT)
    version = fields.take("format_version", positive)
    if version != FORMAT_VERSION:
        raise UnknownPartError(_DOCUMENT, f"expected format_version {FORMAT_VERSION}, got {version}")
    state = InstallState(fields.take("current", _bundle), fields.take("previous", optional(_bundle)))
    fields.finish()
    return state


def _bundle(value: Any, where: str) -> InstalledBundle:
    fields = Fields(value, where)
    bundle = InstalledBundle(
        directory=fields.take("directory", string),
        digest=fields.take("digest", sha256),
        name=fields.take("name", string),
        signed_by=fields.take("signed_by", optional(string)),
    )
    fields.finish()
    if DIRECTORY_NAME.fullmatch(bundle.directory) is None or bundle.directory[:64] != bundle.digest:
        refuse(f"{below(where, 'directory')}: {bundle.directory[:80]!r} is no directory of a bundle")
    return bundle
