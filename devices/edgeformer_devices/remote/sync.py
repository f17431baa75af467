"""Folders on a device made equal to folders here: only what isn't there yet is sent, and all is compared afterwards."""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .base import Progress, RemoteError
from .facts import Facts, Place

_SLOWEST_BYTES_PER_S = 50_000  # below this a copy counts as stuck
_SPARE_BYTES = 64 * 2**20  # for the engine's own temporary files
_BATCH_BYTES = 32 * 2**20  # a connection that breaks loses at most one batch
_BLOCK_BYTES = 1 << 20

Inventory = Mapping[str, str]  # relative path -> SHA-256


@dataclass(frozen=True)
class Plan:
    """What it takes to make a folder on the device: paths to send, files to copy there, files to remove."""

    send: tuple[str, ...]
    copies: tuple[tuple[str, str], ...]  # path below our root on the device -> path in the folder
    stale: tuple[str, ...]


def local_inventory(folder: Path, only: Sequence[str] | None = None) -> dict[str, str]:
    """The files below ``folder``, or of them ``only`` these, as the agent counts them."""
    paths = sorted(folder.rglob("*")) if only is None else [folder / path for path in only]
    found = {}
    for path in paths:
        relative = path.relative_to(folder)
        if "__pycache__" in relative.parts or path.is_dir():
            continue
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        found[relative.as_posix()] = digest.hexdigest()
    return found


def inventory_of(place: Place) -> Inventory:
    """Every file of ours on the device; raises RemoteError."""
    answer = place.ask("inventory", folder=place.folder, timeout_s=600)
    if not isinstance(answer, dict) or not all(isinstance(value, str) for value in answer.values()):
        raise RemoteError(f"{place.remote.address}: its agent gave an answer of another form")
    return answer


def make_plan(wanted: Inventory, there: Inventory, folder: str) -> Plan:
    """Compare ``wanted`` (path in ``folder`` -> hash) with ``there`` (path below our root -> hash)."""
    here = {path.removeprefix(f"{folder}/"): digest for path, digest in there.items() if path.startswith(f"{folder}/")}
    # A file that will be removed or replaced is no source.
    steady = {path: digest for path, digest in there.items() if "/" in path and not path.startswith(f"{folder}/")}
    sources = {digest: path for path, digest in sorted(steady.items(), reverse=True)}
    missing = [path for path, digest in wanted.items() if here.get(path) != digest]
    copies = tuple((sources[wanted[path]], path) for path in missing if wanted[path] in sources)
    send = tuple(path for path in missing if wanted[path] not in sources)
    return Plan(send, copies, tuple(sorted(set(here) - set(wanted))))


def sync(
    place: Place,
    source: Path,
    folder: str,
    facts: Facts,
    there: Inventory,
    progress: Progress,
    only: Sequence[str] | None = None,
) -> int:
    """Make ``folder`` on the device equal to the local folder ``source``; returns the bytes that were sent.

    ``there`` is the device's inventory, ``only`` the relative paths to consider. Raises RemoteError when there is no
    room, and when what arrived is not what was sent.
    """
    wanted = local_inventory(source, only)
    plan = make_plan(wanted, there, folder)
    sizes = {path: (source / path).stat().st_size for path in plan.send}
    _check_room(place, folder, sum(sizes.values()), facts)
    if plan.send:
        size = f"{sum(sizes.values()) / 1e6:.1f} MB before compression"
        progress(f"copy {len(plan.send)} of {len(wanted)} files of {folder}, {size}")
    answer = place.ask("apply", root=place.folder, folder=folder, copies=plan.copies, stale=plan.stale, archive=None,
                       timeout_s=600)  # fmt: skip
    sent_bytes = 0
    for batch in _batches(sizes):
        sent_bytes += _send(place, source, batch, place.path("incoming.tar.gz"))
        answer = place.ask("apply", root=place.folder, folder=folder, copies=(), stale=(),
                           archive=place.path("incoming.tar.gz"), timeout_s=600)  # fmt: skip
    expected = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    if not isinstance(answer, dict) or answer.get("digest") != expected:
        where = place.remote.address
        raise RemoteError(f"{where}: {folder} is not what was sent: is its disk sound? Run the command again")
    return sent_bytes


def _check_room(place: Place, folder: str, size_bytes: int, facts: Facts) -> None:
    needed_bytes = size_bytes + min(size_bytes, _BATCH_BYTES) + _SPARE_BYTES
    if size_bytes and facts.free_bytes < needed_bytes:
        raise RemoteError(
            f"{place.remote.address}: no space: {folder} needs {needed_bytes / 1e6:.0f} MB in {place.folder}, "
            f"{facts.free_bytes / 1e6:.0f} MB are free: free some there"
        )


def _batches(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    batch: list[str] = []
    total = 0
    for path, size_bytes in sizes.items():
        if batch and total + size_bytes > _BATCH_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(path)
        total += size_bytes
    if batch:
        yield batch


def _send(place: Place, source: Path, paths: Sequence[str], target: str) -> int:
    with tempfile.TemporaryDirectory(prefix="edgeformer-send-") as folder:
        archive = Path(folder) / "send.tar.gz"
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            for path in paths:
                tar.add(source / path, path, recursive=False)
        size_bytes = archive.stat().st_size
        place.remote.send(archive, target, timeout_s=120 + size_bytes / _SLOWEST_BYTES_PER_S)
        return size_bytes
