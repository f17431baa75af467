"""Bundles on a device, replaced in one step: staged, verified, tried, switched to; the one before is kept.

    DIR/installed.json     which directory is current, which was before; replaced by one rename
    DIR/<digest>/          a bundle, never changed after it got this name
    DIR/.staging-<digest>/ a copy that isn't finished; the next install of the same bundle goes on with it
    DIR/.lock              held while an install or a rollback runs

A bundle that is open (``Bundle.open(DIR)``, ``Session.open(DIR)``) is not removed before it is closed and another
install comes by.

Every file and folder is synced before a rename gives it its name, and each rename before the next step, so a kill or a
power cut at any moment leaves the old bundle current or the new one, whole. A file that rotted on the card is found by
its hash when the bundle is opened; `rollback` goes back to the one before. Not covered: a file system that loses what
it was asked to sync, or whose rename isn't atomic (FAT), and somebody who may write to DIR putting an older bundle
there.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, Union

from ..bundle.bundle import open_directory, open_installed
from ..bundle.installed_state import (
    DIRECTORY_NAME,
    INSTALLED_NAME,
    TEMPORARY_NAME,
    InstalledBundle,
    InstallState,
    read_state,
    write_state,
)
from ..bundle.names import MANIFEST_NAME
from ..bundle.signing import Keys, check_signature, read_public_keys
from ..bundle.source import BundleSource, open_source
from ..errors import BundleNotFoundError, InputError, InstallError, RuntimeBundleError
from ..files.durable import make_folder, sync_folder, sync_tree
from ..files.folder_use import is_used
from .lock import LOCK_NAME, explained, locked
from .staging import Copied, Progress, stage

STAGING = ".staging-"

Check = Callable[[Path], None]


@dataclass(frozen=True)
class Installed:
    """What an install or a rollback did. ``copied_bytes`` is 0 where the bundle was there already."""

    path: Path
    bundle: InstalledBundle
    previous: Optional[InstalledBundle]
    copied_files: int = 0
    copied_bytes: int = 0
    resumed_files: int = 0  # that an interrupted install had copied before


def install(
    source: Union[str, Path],
    directory: Union[str, Path],
    key: Keys = None,
    check: Optional[Check] = None,
    progress: Optional[Progress] = None,
) -> Installed:
    """Make the bundle at ``source`` (directory or .zip) the current one of ``directory``.

    With ``key`` it must be signed (see ``Bundle.open``). ``check`` is called with the path of the staged bundle and
    refuses it by raising an EdgeformerError; `edgeformer-run install` gives ``load_in_sandbox``. Raises InstallError,
    RuntimeBundleError or InputError; the bundle that was current before is then still so.
    """
    root = Path(directory)
    say = progress if progress is not None else _silent
    with explained(root):
        _check_place(root)
        with open_source(Path(source)) as opened:
            _signed_by(opened, key)  # before anything is written
            make_folder(root.absolute())
            with locked(root):
                return _install(opened, root.absolute(), key, check, say)


def rollback(directory: Union[str, Path], key: Keys = None) -> Installed:
    """Make the previous bundle of ``directory`` the current one, and the other way round, after verifying it.

    Raises InstallError when there is none, RuntimeBundleError when it is damaged or not signed with ``key``.
    """
    root = Path(directory).absolute()
    with explained(root):
        if read_state(root) is None:
            raise BundleNotFoundError(f"{root}: nothing is installed there: expected a directory of `install`")
        with locked(root):
            state = read_state(root)
            if state is None or state.previous is None:
                raise InstallError(f"{root}: there is no bundle before the current one: install another one instead")
            target = state.previous
            open_installed(root, target, key)
            write_state(root, InstallState(target, state.current))
            return Installed(root / target.directory, target, state.current)


def _install(source: BundleSource, root: Path, key: Keys, check: Optional[Check], say: Progress) -> Installed:
    signed_by = _signed_by(source, key)
    state = _readable_state(root, say)
    copied = Copied()
    name = _sound_copy(root, source.digest, state, key)
    if state is None or name != state.current.directory:
        if name is not None:  # the previous one, or one that an interrupted install didn't come to switch to
            _try(root / name, check, say)
        else:
            name = _free_name(root, source.digest)
            copied = _stage_and_name(source, root, name, check, say)
    made = InstalledBundle(name, source.digest, source.manifest.name, signed_by)
    latest = InstallState(made, _previous(state, made))
    if latest != state:
        sync_folder(root)  # the names that installed.json is about to rely on
        write_state(root, latest)
    _prune(root, latest)
    return Installed(root / name, made, latest.previous, copied.files, copied.bytes, copied.resumed)


def _previous(state: Optional[InstallState], made: InstalledBundle) -> Optional[InstalledBundle]:
    """What was current before, unless it is the same bundle: damaged, or without the signature that is wanted now."""
    if state is None:
        return None
    if state.current.digest == made.digest:
        return state.previous
    return state.current


def _sound_copy(root: Path, digest: str, state: Optional[InstallState], key: Keys) -> Optional[str]:
    """The directory of a whole copy of the bundle, the current one first; None when there is none."""
    names = [state.current.directory] if state is not None and state.current.digest == digest else []
    names += sorted(path.name for path in root.iterdir() if path.name.split(".")[0] == digest)
    for name in names:
        try:
            if open_directory(root / name, key).digest == digest:
                return name
        except (RuntimeBundleError, OSError):
            continue
    return None


def _readable_state(root: Path, say: Progress) -> Optional[InstallState]:
    try:
        return read_state(root)
    except RuntimeBundleError as error:  # a rotten card: installing anew is the way out, so it must not be refused
        say(f"{error}")
        return None


def _free_name(root: Path, digest: str) -> str:
    names = [digest, *(f"{digest}.{number}" for number in range(1, 1000))]
    for name in names:
        if not os.path.lexists(str(root / name)):
            return name
    raise InstallError(f"{root}: holds 1000 damaged copies of this bundle: remove them")


def _stage_and_name(source: BundleSource, root: Path, name: str, check: Optional[Check], say: Progress) -> Copied:
    staging = root / (STAGING + source.digest)
    copied = stage(source, staging, say)
    sync_tree(staging)
    open_directory(staging)  # read back: what was copied is what is there
    _try(staging, check, say)
    staging.rename(root / name)
    return copied


def _try(path: Path, check: Optional[Check], say: Progress) -> None:
    if check is not None:
        say("trying it")
        check(path)


def _prune(root: Path, state: InstallState) -> None:
    """Remove what is neither current nor previous, nor open anywhere. What stays costs room, and nothing else."""
    kept = {state.current.directory, *([state.previous.directory] if state.previous is not None else [])}
    for path in root.iterdir():
        is_bundle = DIRECTORY_NAME.fullmatch(path.name) is not None and path.name not in kept
        if (is_bundle and not is_used(path)) or path.name.startswith(STAGING):
            shutil.rmtree(str(path), ignore_errors=True)


def _signed_by(source: BundleSource, key: Keys) -> Optional[str]:
    if key is None:
        return None
    keys = read_public_keys(key)
    if source.signature is None:
        raise InstallError("the bundle isn't signed, and a key was given: get the signed one from its producer")
    return check_signature(source.manifest_bytes, source.signature, keys)


def _check_place(root: Path) -> None:
    """Raise InputError unless ``root`` is free, or a directory of earlier installs."""
    if root.is_dir():
        names = {path.name for path in root.iterdir()}
        own = {INSTALLED_NAME, TEMPORARY_NAME, LOCK_NAME}
        foreign = [
            name
            for name in sorted(names - own)
            if not name.startswith(STAGING) and DIRECTORY_NAME.fullmatch(name) is None
        ]
        if MANIFEST_NAME in names:
            raise InputError(f"--to {root}: is itself a bundle: expected a directory that holds installed ones")
        if foreign and INSTALLED_NAME not in names:
            raise InputError(f"--to {root}: holds {foreign[0]!r}: expected an empty directory, or one of `install`")
    elif os.path.lexists(str(root)):
        raise InputError(f"--to {root}: is not a directory: expected one, or a path where nothing is")


def _silent(_: str) -> None:
    pass
