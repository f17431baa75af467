"""Installing onto a disk that is really full: a small file system in memory, which takes the right to mount one."""

from __future__ import annotations

import subprocess
from collections import namedtuple
from pathlib import Path

import pytest

from edgeformer_runtime import Bundle, InstallError, install
from edgeformer_runtime.installing import staging

SIZE_KB = 4096
usage = namedtuple("usage", "total used free")


@pytest.fixture
def disk(tmp_path):
    """A file system of SIZE_KB."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KB}k", "tmpfs", str(place)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("no mount here")
    if mounted.returncode:
        pytest.skip(f"may not mount a file system here: {mounted.stdout.decode().strip()[:80]}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def bundles(make_bundle):
    """Two bundles of several files of several pages each, all of them different."""
    both = (("onnx", "onnx-b", "onnx-c"), ("onnx-d", "onnx-e", "onnx-f"))
    return [make_bundle(name=f"b{number}", variants=names) for number, names in enumerate(both)]


def fill(path: Path, free_kb: int) -> None:
    """Take all of the disk but ``free_kb``."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            pass
        file.truncate(max(0, path.stat().st_size // 4096 * 4096 - free_kb * 1024))


def digest(path: Path) -> str:
    return Bundle.open(path).digest


def is_whole(device: Path) -> bool:
    """Reading a file checks its hash."""
    bundle = Bundle.open(device)
    return all(len(bundle.read(entry.path)) == entry.bytes for entry in bundle.manifest.files)


def test_too_little_room_is_seen_before_anything_is_copied(disk, bundles):
    device, filler = disk / "device", disk / "filler"
    install(bundles[0], device)
    fill(filler, free_kb=512)
    with pytest.raises(InstallError, match="make room and run the install again"):
        install(bundles[1], device)
    assert digest(device) == digest(bundles[0])
    filler.unlink()
    assert install(bundles[1], device).resumed_files == 0
    assert digest(device) == digest(bundles[1])


def test_room_that_goes_while_it_copies(disk, bundles, monkeypatch):
    device, filler = disk / "device", disk / "filler"
    install(bundles[0], device)
    old, new = digest(bundles[0]), digest(bundles[1])
    # somebody else takes the room after it was looked at
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _path: usage(10**9, 0, 10**9))
    messages = []
    for free_kb in range(0, 400, 4):
        fill(filler, free_kb)
        try:
            install(bundles[1], device)
        except InstallError as error:
            messages.append(str(error))
            assert digest(device) == old
            assert is_whole(device)
        else:
            break
        filler.unlink()
    assert len(messages) > 2, "the disk was never full"
    assert all("the disk is full" in message for message in messages), messages
    assert digest(device) == new
    assert is_whole(device)
    assert {old, new} <= {path.name for path in device.iterdir()}
