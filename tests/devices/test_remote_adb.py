"""adb: the real client, against a stand-in for the server and its device. No phone was ever at hand."""

from __future__ import annotations

import os
import shutil
import threading
import time

import pytest

from edgeformer_devices.remote import Options, RemoteError, bench, parse_address
from edgeformer_devices.remote.adb import Adb
from edgeformer_devices.remote.base import ConnectionLostError
from edgeformer_devices.remote.facts import settle
from edgeformer_devices.remote.sync import inventory_of, local_inventory, sync

from .adb_server import AdbServer, unplug
from .conftest import device_environment, folder_of, processes_with

pytestmark = pytest.mark.skipif(shutil.which("adb") is None, reason="no adb here: apt install adb")
ADDRESS = parse_address("adb://0123456789ABCDEF")


@pytest.fixture
def make_server(device_home, monkeypatch):
    servers = []

    def make(**settings) -> AdbServer:
        server = AdbServer(ADDRESS.host, device_environment(device_home), **settings)
        servers.append(server)
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        monkeypatch.setenv("ANDROID_ADB_SERVER_ADDRESS", "127.0.0.1")
        monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
        return server

    yield make
    for server in servers:
        server.close()


def test_commands_keep_their_words_their_bytes_and_their_status(make_server):
    server = make_server()
    remote = Adb(ADDRESS)
    words = ["a b", "$(id)", "'", '"', "\\", "é", "*", "; false"]
    done = remote.execute(["printf", "%s|", *words], timeout_s=600)
    assert (done.stdout.decode(), done.status, done.stderr) == ("|".join(words) + "|", 0, "")
    failed = remote.execute(["sh", "-c", "printf '\\r\\n\\0'; echo no >&2; exit 7"], timeout_s=600)
    assert (failed.stdout, failed.status, failed.stderr) == (b"\r\n\0", 7, "no\n")
    assert f"host:tport:serial:{ADDRESS.host}" in server.requests or f"host:transport:{ADDRESS.host}" in server.requests


def test_a_program_cannot_forge_its_status(make_server):
    """The mark that leads the status is drawn anew for each command."""
    make_server()
    done = Adb(ADDRESS).execute(["sh", "-c", "printf '\\n%032d 0\\n' 1; exit 3"], timeout_s=600)
    assert done.status == 3


def test_a_folder_arrives_by_push(make_server, tmp_path, device_home):
    make_server()
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(os.urandom(300_000))
    place, facts = settle(Adb(ADDRESS))
    assert sync(place, tree, "tree", facts, inventory_of(place), print) > 300_000
    assert local_inventory(folder_of(device_home) / "tree") == local_inventory(tree)
    assert sync(place, tree, "tree", facts, inventory_of(place), print) == 0


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", "allow USB debugging"),
        ("device offline", "unplug it and plug it in again"),
        ("no permissions (user in plugdev group; are your udev rules wrong?)", "install the udev rules"),
    ],
)
def test_refusals_of_the_server_say_what_to_do(make_server, said, means):
    make_server(fails={"host:t": said})
    with pytest.raises(RemoteError, match=means) as caught:
        settle(Adb(ADDRESS))
    assert not isinstance(caught.value, ConnectionLostError)


def test_another_serial_number_is_no_device(make_server):
    make_server()
    with pytest.raises(RemoteError, match="no such device: 'adb devices' lists"):
        settle(Adb(parse_address("adb://OTHER")))


def test_a_cable_that_comes_off_during_a_copy_is_a_lost_connection(make_server, tmp_path):
    server = make_server()
    place, facts = settle(Adb(ADDRESS))
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(os.urandom(3_000_000))
    server.break_after_bytes = 500_000
    with pytest.raises(ConnectionLostError, match="the same command goes on from it"):
        sync(place, tree, "tree", facts, inventory_of(place), print)
    server.break_after_bytes = None
    assert sync(place, tree, "tree", facts, inventory_of(place), print) > 0


def test_a_cable_that_comes_off_during_a_command_is_a_lost_connection(make_server):
    server = make_server()

    def pull() -> None:
        while not processes_with("sleep\x00598"):
            time.sleep(0.05)
        unplug(server)

    threading.Thread(target=pull, daemon=True).start()
    with pytest.raises(ConnectionLostError):
        Adb(ADDRESS).execute(["sleep", "598"], timeout_s=600)


def test_a_disk_that_is_full_is_named(make_server, tmp_path):
    make_server()
    source = tmp_path / "x"
    source.write_bytes(b"x" * 1000)
    with pytest.raises(RemoteError, match="its disk is full"):
        Adb(ADDRESS).send(source, "/dev/full", timeout_s=600)


@pytest.mark.slow
def test_a_bundle_is_measured_and_nothing_is_left(make_server, bundle, tmp_path, device_home):
    make_server()
    options = Options(variant="onnx", quick=True, engine="installed", threads=1)
    found = bench(bundle, ADDRESS, options, cache=tmp_path)
    assert found.report.bundle_digest == bundle.digest
    assert found.report.runs > 10
    assert not folder_of(device_home).exists()
