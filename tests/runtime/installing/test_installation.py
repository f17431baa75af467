from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from edgeformer_runtime import (
    Bundle,
    BundleNotFoundError,
    EngineError,
    InputError,
    InstallError,
    RuntimeBundleError,
    Session,
    install,
    installed_state,
    pack,
    rollback,
)
from edgeformer_runtime.installing import staging
from edgeformer_runtime.installing.lock import locked

MODEL = "variants/onnx/model.onnx"


@pytest.fixture
def bundles(make_bundle):
    """Three bundles that differ, as paths."""
    return [make_bundle(name=f"b{number}", max_length=number + 8) for number in range(3)]


@pytest.fixture
def device(tmp_path):
    return tmp_path / "some" / "where" / "device"


def digest(path):
    return Bundle.open(path).digest


def names(device):
    return {path.name for path in device.iterdir()} - {".lock", "installed.json"}


def test_the_first_install(bundles, device):
    said = []
    done = install(bundles[0], device, progress=said.append)
    assert digest(device) == digest(bundles[0]) == done.bundle.digest
    assert (done.previous, done.copied_files, done.resumed_files) == (None, 2, 0)
    assert done.path == device / done.bundle.digest
    assert any("copying" in text for text in said)
    assert installed_state(device).current == done.bundle


def test_an_update_keeps_one_before_and_removes_older_ones(bundles, device):
    for path in bundles:
        install(path, device)
    assert digest(device) == digest(bundles[2])
    assert names(device) == {digest(bundles[1]), digest(bundles[2])}


def test_rollback_goes_back_and_forth(bundles, device):
    install(bundles[0], device)
    with pytest.raises(InstallError, match="no bundle before"):
        rollback(device)
    install(bundles[1], device)
    for expected in (bundles[0], bundles[1], bundles[0]):
        rollback(device)
        assert digest(device) == digest(expected)


def test_from_a_zip(bundles, device, tmp_path):
    install(pack(bundles[0], tmp_path / "a.zip"), device)
    assert digest(device) == digest(bundles[0])


def test_the_same_again_changes_nothing(bundles, device):
    install(bundles[0], device)
    install(bundles[1], device)
    before = {path: path.stat().st_mtime_ns for path in device.rglob("*")}
    done = install(bundles[1], device)
    assert (done.copied_files, done.previous.digest) == (0, digest(bundles[0]))
    assert {path: path.stat().st_mtime_ns for path in device.rglob("*")} == before


def test_the_previous_again_is_not_copied(bundles, device):
    install(bundles[0], device)
    install(bundles[1], device)
    done = install(bundles[0], device)
    assert (done.copied_files, done.previous.digest, digest(device)) == (0, digest(bundles[1]), digest(bundles[0]))


def test_an_interrupted_copy_goes_on(bundles, device):
    staging = device / f".staging-{digest(bundles[0])}"
    shutil.copytree(str(bundles[0]), str(staging))
    (staging / MODEL).write_bytes(b"half")
    (staging / "stray").write_bytes(b"x")
    done = install(bundles[0], device)
    assert (done.copied_files, done.resumed_files) == (1, 1)
    assert digest(device) == digest(bundles[0])


@pytest.mark.parametrize("kind", ["link inside", "link itself", "file"])
def test_a_staging_folder_that_is_none_is_made_anew(bundles, device, tmp_path, kind):
    staging = device / f".staging-{digest(bundles[0])}"
    staging.parent.mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    if kind == "link inside":
        staging.mkdir()
        (staging / "variants").symlink_to(tmp_path / "mine")
    elif kind == "link itself":
        staging.symlink_to(tmp_path / "mine")
    else:
        staging.write_text("x")
    install(bundles[0], device)
    assert digest(device) == digest(bundles[0])
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]


def test_a_bundle_that_fails_its_check_is_not_switched_to(bundles, device):
    install(bundles[0], device)

    def check(path):
        assert Bundle.open(path).digest == digest(bundles[1])
        raise EngineError("wrong results")

    with pytest.raises(EngineError, match="wrong results"):
        install(bundles[1], device, check=check)
    assert digest(device) == digest(bundles[0])


def test_a_damaged_source_changes_nothing(bundles, device, tmp_path):
    install(bundles[0], device)
    (bundles[1] / MODEL).write_bytes(bytes(610))
    for source in (bundles[1], tmp_path / "nowhere"):
        with pytest.raises(RuntimeBundleError):
            install(source, device)
    assert digest(device) == digest(bundles[0])


def test_a_rotten_current_one_is_said_and_repaired_by_installing_again(bundles, device):
    install(bundles[0], device)
    done = install(bundles[1], device)
    (done.path / MODEL).write_bytes(bytes(610))
    with pytest.raises(RuntimeBundleError, match="edgeformer-run rollback"):
        Bundle.open(device)
    repaired = install(bundles[1], device)
    assert digest(device) == digest(bundles[1])
    assert repaired.previous.digest == digest(bundles[0])
    assert names(device) == {repaired.path.name, digest(bundles[0])}
    assert repaired.path.name == digest(bundles[1]) + ".1"


def test_a_rotten_previous_one_is_not_rolled_back_to(bundles, device):
    done = install(bundles[0], device)
    install(bundles[1], device)
    (done.path / MODEL).unlink()
    with pytest.raises(RuntimeBundleError, match="missing"):
        rollback(device)
    assert digest(device) == digest(bundles[1])


def test_a_manifest_that_was_swapped_after_the_install_is_found(bundles, device):
    done = install(bundles[0], device)
    shutil.rmtree(str(done.path))
    shutil.copytree(str(bundles[1]), str(done.path))
    with pytest.raises(RuntimeBundleError, match="its manifest was changed"):
        Bundle.open(device)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format_version": 1, "current": null, "previous": null}', "\0" * 100, "x" * 100_000],
)
def test_a_damaged_pointer_is_said_and_installing_goes_on(bundles, device, text):
    install(bundles[0], device)
    (device / "installed.json").write_text(text)
    with pytest.raises(RuntimeBundleError):
        Bundle.open(device)
    install(bundles[1], device)
    assert digest(device) == digest(bundles[1])


@pytest.mark.parametrize("name", ["../../etc", "/etc", ".staging-x", "a" * 63, "a" * 64 + "/x"])
def test_a_pointer_that_leads_elsewhere(bundles, device, name):
    install(bundles[0], device)
    state = json.loads((device / "installed.json").read_text())
    state["current"]["directory"] = name
    (device / "installed.json").write_text(json.dumps(state))
    with pytest.raises(RuntimeBundleError, match="no directory of a bundle"):
        Bundle.open(device)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "expected format_version 1.*update edgeformer-runtime"),
        (
            {"format_version": "1"},
            "format_version: expected an integer of at least 1, got '1'.*install the bundle again",
        ),
        ({"slots": []}, "unknown key 'slots'.*update edgeformer-runtime"),
        ({"current": None}, "current: expected an object, got null.*install the bundle again"),
        ({"current": {}}, "'current.directory' is missing.*install the bundle again"),
    ],
)
def test_what_is_wrong_in_a_pointer_is_named(bundles, device, change, message):
    install(bundles[0], device)
    state = json.loads((device / "installed.json").read_text())
    (device / "installed.json").write_text(json.dumps({**state, **change}))
    with pytest.raises(RuntimeBundleError, match=f"^installed.json: .*{message}"):
        installed_state(device)


def test_one_install_at_a_time(bundles, device):
    install(bundles[0], device)
    with locked(device):
        for act in (lambda: install(bundles[1], device), lambda: rollback(device)):
            with pytest.raises(InstallError, match="another install runs"):
                act()
    install(bundles[1], device)


def test_places_that_are_none(bundles, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_text("x")
    for place, message in (
        (tmp_path / "file", "not a directory"),
        (tmp_path / "mine", "holds 'photo.jpg'"),
        (bundles[1], "is itself a bundle"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            install(bundles[0], place)
        assert caught.value.exit_status == 2
    with pytest.raises(InstallError, match="a part of the path is a file"):
        install(bundles[0], tmp_path / "file" / "below")
    with pytest.raises(BundleNotFoundError, match="nothing is installed"):
        rollback(tmp_path / "mine")


def test_no_room(bundles, device, monkeypatch):
    install(bundles[0], device)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(InstallError, match="1000 are free: make room"):
        install(bundles[1], device)
    assert digest(device) == digest(bundles[0])


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"), (errno.EIO, "the disk fails")],
)
def test_a_disk_that_fails_in_the_middle(bundles, device, monkeypatch, number, message):
    install(bundles[0], device)

    def fail(handle):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(InstallError, match=message):
            install(bundles[1], device)
    assert digest(device) == digest(bundles[0])
    assert install(bundles[1], device).resumed_files == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_may_not_be_written(bundles, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InstallError, match="may not write"):
        install(bundles[0], tmp_path / "locked" / "device")


def test_a_reader_meets_an_old_one_that_is_replaced_and_removed(bundles, device, monkeypatch):
    from edgeformer_runtime.bundle import bundle as opening

    install(bundles[0], device)
    real = opening.hold
    done = []

    def slow(path):
        if not done:
            done.append(True)
            monkeypatch.undo()
            for bundle in bundles[1:]:
                install(bundle, device)  # the one that the reader is about to open is gone
        return real(path)

    monkeypatch.setattr(opening, "hold", slow)
    assert digest(device) == digest(bundles[2])


def test_with_a_key(bundles, device, tmp_path):
    pytest.importorskip("cryptography")
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from signing_key import Key

    key = Key(tmp_path, "key")
    with pytest.raises(InstallError, match="isn't signed"):
        install(bundles[0], device, key=key.path)
    assert not device.exists()
    install(bundles[0], device)
    key.sign(bundles[0])
    done = install(bundles[0], device, key=key.path)  # the same files, now with the signature
    assert done.bundle.signed_by == key.id
    with Bundle.open(device, key.path) as bundle:
        assert bundle.signed_by == key.id
    install(bundles[1], device)
    with pytest.raises(RuntimeBundleError, match=r"no manifest\.sig"):
        Bundle.open(device, key.path)
    rollback(device, key.path)
    with pytest.raises(RuntimeBundleError):
        rollback(device, key.path)


def test_a_session_opens_the_current_one(bundles, device):
    pytest.importorskip("onnxruntime")
    install(bundles[0], device)
    with Session.open(device) as session:
        install(bundles[1], device)
        install(bundles[2], device)
        assert session.predict(["good"])  # whose tokenizer is read now
    with Session.open(device) as session:
        assert session.bundle.digest == digest(bundles[2])


def test_what_is_open_is_not_removed(bundles, device):
    install(bundles[0], device)
    with Bundle.open(device) as opened:
        install(bundles[1], device)
        install(bundles[2], device)
        assert names(device) == {digest(path) for path in bundles}
        assert Bundle.open(opened.path).digest == opened.digest
    install(bundles[2], device)
    assert names(device) == {digest(bundles[1]), digest(bundles[2])}


def test_the_command_line(bundles, device):
    pytest.importorskip("onnxruntime")

    def run(*words):
        command = [sys.executable, "-m", "edgeformer_runtime", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("install", bundles[0], "--to", device, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["current"]["digest"] == digest(bundles[0])
    assert "onnx runs on onnxruntime" in done.stderr
    assert run("install", bundles[1], "--to", device, "--no-check").returncode == 0
    assert digest(bundles[0]) in run("rollback", device).stdout
    shown = json.loads(run("installed", device, "--json").stdout)
    assert (shown["current"]["digest"], shown["previous"]["digest"]) == (digest(bundles[0]), digest(bundles[1]))
    assert run("installed", bundles[0]).returncode == 2
    assert run("install", bundles[0], "--to", bundles[1]).returncode == 2
