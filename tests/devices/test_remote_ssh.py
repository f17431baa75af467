"""ssh against a real sshd on the loopback address, with keys and known hosts of its own."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edgeformer_devices.remote import Options, RemoteError, bench, parse_address
from edgeformer_devices.remote.base import ConnectionLostError
from edgeformer_devices.remote.facts import settle
from edgeformer_devices.remote.ssh import Ssh
from edgeformer_devices.remote.sync import inventory_of, local_inventory, sync

from .conftest import device_environment, folder_of, processes_with

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
pytestmark = pytest.mark.skipif(
    not Path(SSHD).is_file() or shutil.which("ssh-keygen") is None, reason="no sshd here: apt install openssh-server"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)
    return path


class Sshd:
    """A server whose sessions have the home and the PATH of the tests' device."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.host_key = make_key(folder / "host_key")
        self.user_key = make_key(folder / "user_key")
        (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
        values = device_environment(home)
        lines = [
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.host_key}", "PidFile none", "UsePAM no",
            f"AuthorizedKeysFile {folder / 'authorized_keys'}", "StrictModes no", "PermitRootLogin yes",
            "PasswordAuthentication no", "KbdInteractiveAuthentication no",
            "SetEnv " + " ".join(f'"{name}={value}"' for name, value in values.items()),
        ]  # fmt: skip
        (folder / "sshd_config").write_text("\n".join(lines) + "\n")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd's own jail, which its service file makes otherwise
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=self.log)
        self._wait()

    def _wait(self) -> None:
        for _ in range(2000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text())

    def config(self, *, known: str | None = None, key: Path | None = None, more: str = "") -> Path:
        """A client's configuration; ``known`` is the line of its known_hosts."""
        public = (self.folder / "host_key.pub").read_text()
        hosts = self.folder / "known_hosts"
        hosts.write_text(f"[127.0.0.1]:{self.port} {public}" if known is None else known)
        path = self.folder / "ssh_config"
        path.write_text(
            f"UserKnownHostsFile {hosts}\nGlobalKnownHostsFile /dev/null\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"IdentityFile {key or self.user_key}\n{more}"
        )
        return path

    @property
    def address(self):
        return parse_address(f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}")

    def sessions(self) -> list[int]:
        """The server's processes that serve a connection."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


@pytest.fixture
def sshd(tmp_path, device_home):
    (tmp_path / "sshd").mkdir()
    server = Sshd(tmp_path / "sshd", device_home)
    yield server
    server.close()


def test_commands_keep_their_words_and_their_status(sshd):
    remote = Ssh(sshd.address, sshd.config())
    words = ["a b", "$(id)", "'", '"', "\\", "é", "*", "; false"]
    done = remote.execute(["printf", "%s|", *words], timeout_s=600)
    assert done.stdout.decode() == "|".join(words) + "|"
    assert done.status == 0
    failed = remote.execute(["sh", "-c", "echo no >&2; exit 7"], timeout_s=600)
    assert (failed.status, failed.last_lines()) == (7, "no")


def test_a_folder_arrives_over_ssh(sshd, tmp_path, device_home):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(os.urandom(300_000))
    place, facts = settle(Ssh(sshd.address, sshd.config()))
    assert sync(place, tree, "tree", facts, inventory_of(place), print) > 300_000
    assert local_inventory(folder_of(device_home) / "tree") == local_inventory(tree)
    assert sync(place, tree, "tree", facts, inventory_of(place), print) == 0


def refused(sshd, config) -> str:
    with pytest.raises(RemoteError) as caught:
        settle(Ssh(sshd.address, config))
    assert not isinstance(caught.value, ConnectionLostError)
    return str(caught.value)


def test_an_unknown_host_key_is_refused_whatever_the_configuration_says(sshd):
    config = sshd.config(known="", more="StrictHostKeyChecking no\n")
    message = refused(sshd, config)
    assert "host key is unknown here: connect once by hand" in message
    assert (sshd.folder / "known_hosts").read_text() == ""


def test_a_changed_host_key_is_refused_as_such(sshd, tmp_path):
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    config = sshd.config(known=f"[127.0.0.1]:{sshd.port} {other}", more="StrictHostKeyChecking accept-new\n")
    message = refused(sshd, config)
    assert "not the one that this machine knows" in message
    assert f"with ssh-keygen -R '[127.0.0.1]:{sshd.port}' and" in message
    assert "?\n" not in message
    assert not message.endswith("?")


def test_the_advice_for_a_changed_host_key_names_what_known_hosts_has(sshd, tmp_path):
    """The port may be the configuration's; what is advised is done, and the old key is gone."""
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    more = f"Host board\n  HostName 127.0.0.1\n  Port {sshd.port}\n"
    config = sshd.config(known=f"[127.0.0.1]:{sshd.port} {other}", more=more)
    with pytest.raises(RemoteError) as caught:
        settle(Ssh(parse_address(f"ssh://{getpass.getuser()}@board"), config))
    (name,) = re.findall(r"ssh-keygen -R '([^']+)' and", str(caught.value))
    subprocess.run(["ssh-keygen", "-q", "-R", name, "-f", sshd.folder / "known_hosts"], check=True)
    assert (sshd.folder / "known_hosts").read_text() == ""


def test_a_refused_key_says_how_to_set_one_up(sshd, tmp_path):
    assert "ssh-copy-id" in refused(sshd, sshd.config(key=make_key(tmp_path / "stranger")))


def test_an_unreachable_port_is_no_server(sshd):
    address = parse_address(f"ssh://127.0.0.1:{free_port()}")
    with pytest.raises(RemoteError, match="no ssh server answers"):
        settle(Ssh(address, sshd.config()))


def test_an_unknown_name_is_told(sshd):
    with pytest.raises(RemoteError, match="no machine of this name"):
        settle(Ssh(parse_address("ssh://no-such-host.invalid"), sshd.config()))


def test_a_broken_configuration_is_told(sshd):
    assert "its configuration is wrong" in refused(sshd, sshd.config(more="Nonsense yes\n"))


def test_a_connection_that_breaks_says_that_the_command_goes_on(sshd):
    remote = Ssh(sshd.address, sshd.config())
    threading.Thread(target=kill_sessions, args=(sshd,), daemon=True).start()
    with pytest.raises(ConnectionLostError, match="the same command goes on from it"):
        remote.execute(["sleep", "599"], timeout_s=600)


def kill_sessions(sshd) -> None:
    wait_for(lambda: processes_with("sleep\x00599"))
    for pid in sshd.sessions():
        os.kill(pid, signal.SIGKILL)


def test_a_program_on_the_device_ends_when_the_connection_does(sshd, tmp_path):
    """Otherwise a benchmark would go on for minutes, and the next one would share the processor with it."""
    place, _ = settle(Ssh(sshd.address, sshd.config()))
    mark = f"edgeformer-test-{tmp_path.name}-{os.getpid()}"
    command = ["{python}", "-c", "import time; time.sleep(600)", mark]
    errors: list[Exception] = []

    def measure() -> None:
        try:
            place.run(command, {}, timeout_s=600, progress=None)
        except RemoteError as error:
            errors.append(error)

    thread = threading.Thread(target=measure)
    thread.start()
    running = list(wait_for(lambda: children_with(mark)))
    assert running
    for pid in sshd.sessions():
        os.kill(pid, signal.SIGKILL)
    thread.join(300)
    assert isinstance(errors[0], ConnectionLostError)
    assert wait_for(lambda: not children_with(mark))


def children_with(mark: str) -> list[int]:
    """The measured program itself: not the agent or ssh, whose command lines hold the same words as JSON."""
    return list(processes_with(f"\x00{mark}"))


def wait_for(condition):
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    return condition()


def test_two_benchmarks_at_once_are_refused_and_nothing_is_removed_under_the_first(sshd, bundle, tmp_path):
    place, _ = settle(Ssh(sshd.address, sshd.config()))
    go = tmp_path / "go"
    first = ["sh", "-c", f"until [ -e '{go}' ]; do sleep 0.05; done"]
    stop = threading.Thread(target=lambda: place.run(first, {}, timeout_s=600, progress=None), daemon=True)
    stop.start()
    assert wait_for(lambda: processes_with(f"until [ -e '{go}' ]"))
    done = place.run(["true"], {}, timeout_s=600, progress=None)
    assert done.status == 75
    assert place.ask("remove", folder=place.folder) == {"removed": False}
    go.touch()
    stop.join()
    assert place.ask("remove", folder=place.folder) == {"removed": True}
    assert not Path(place.folder).exists()


@pytest.mark.slow
def test_a_bundle_is_measured_and_nothing_is_left(sshd, bundle, tmp_path, device_home):
    lines: list[str] = []
    options = Options(variant="onnx", quick=True, engine="installed", threads=1)
    found = bench(bundle, sshd.address, options, cache=tmp_path, ssh_config=sshd.config(), progress=lines.append)
    assert found.report.bundle_digest == bundle.digest
    assert found.report.variant == "onnx"
    assert found.report.runs > 10
    assert found.to_dict()["reached"]["engines_from"] == "installed"
    assert any(line.startswith("device: measuring onnx") for line in lines)
    assert not folder_of(device_home).exists()


@pytest.mark.slow
def test_with_keep_the_second_time_sends_nothing(sshd, bundle, tmp_path, device_home):
    options = Options(variant="onnx", quick=True, engine="installed", threads=1, keep=True)
    sent = [bench(bundle, sshd.address, options, cache=tmp_path, ssh_config=sshd.config()).sent_bytes for _ in range(2)]
    assert sent[0] > 10_000
    assert sent[1] == 0
    assert (folder_of(device_home) / "runtime/edgeformer_runtime/session.py").is_file()


@pytest.mark.slow
def test_after_keep_a_run_without_it_leaves_all_there_and_says_so(sshd, bundle, tmp_path, device_home):
    options = Options(variant="onnx", quick=True, engine="installed", threads=1)
    first = bench(bundle, sshd.address, replace(options, keep=True), cache=tmp_path, ssh_config=sshd.config())
    lines: list[str] = []
    second = bench(bundle, sshd.address, options, cache=tmp_path, ssh_config=sshd.config(), progress=lines.append)
    assert (first.sent_bytes > 10_000, second.sent_bytes) == (True, 0)
    assert second.to_dict()["reached"]["kept_there"] is True
    assert (folder_of(device_home) / f"bundle-{bundle.digest[:16]}").is_dir()
    assert any("an earlier run with --keep asked for it" in line for line in lines)
    shutil.rmtree(folder_of(device_home))  # what that line advises
    third = bench(bundle, sshd.address, options, cache=tmp_path, ssh_config=sshd.config())
    assert third.to_dict()["reached"]["kept_there"] is False
    assert not folder_of(device_home).exists()


@pytest.mark.slow
@pytest.mark.parametrize("keep", [False, True])
def test_ctrl_c_says_that_it_was_cleaned_up_only_where_it_was(sshd, bundle_path, device_home, keep):
    """A real SIGINT to the process and to its ssh, as a terminal sends it."""
    command = [sys.executable, "-u", "-m", "edgeformer", "bench", bundle_path, "--on", str(sshd.address)]
    command += ["--ssh-config", sshd.config(), "--engine", "installed", "--variant", "onnx", *(["--keep"] * keep)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    for line in process.stderr:
        if "device: measuring" in line:
            os.killpg(process.pid, signal.SIGINT)
            break
    rest = process.communicate(timeout=600)[1]
    assert process.returncode == 1
    text = "interrupted" if keep else "interrupted: what was copied there was cleaned up"
    assert rest.splitlines()[-1] == f"edgeformer: {text}"
    assert folder_of(device_home).exists() is keep


@pytest.mark.slow
def test_a_bundle_damaged_on_the_way_is_sent_again(sshd, bundle, tmp_path, device_home):
    options = Options(variant="onnx", quick=True, engine="installed", threads=1, keep=True)
    bench(bundle, sshd.address, options, cache=tmp_path, ssh_config=sshd.config())
    (model,) = folder_of(device_home).glob("bundle-*/variants/onnx/model.onnx")
    model.write_bytes(b"damaged")
    assert bench(bundle, sshd.address, options, cache=tmp_path, ssh_config=sshd.config()).sent_bytes > 0


@pytest.mark.slow
def test_after_a_broken_connection_the_same_command_goes_on(sshd, bundle, tmp_path, device_home):
    """What was copied is still there, nothing runs there any more, and the second time nothing is sent."""
    options = Options(variant="onnx", engine="installed", threads=1)  # the whole protocol: long enough to break
    errors: list[Exception] = []

    def first() -> None:
        try:
            bench(bundle, sshd.address, options, cache=tmp_path, ssh_config=sshd.config())
        except RemoteError as error:
            errors.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    words = f"edgeformer_runtime\x00bench\x00{folder_of(device_home)}"
    assert wait_for(lambda: processes_with(words))
    for pid in sshd.sessions():
        os.kill(pid, signal.SIGKILL)
    thread.join(300)
    assert isinstance(errors[0], ConnectionLostError)
    assert wait_for(lambda: not processes_with(words))
    quick = Options(variant="onnx", engine="installed", threads=1, quick=True)
    assert bench(bundle, sshd.address, quick, cache=tmp_path, ssh_config=sshd.config()).sent_bytes == 0
    assert not folder_of(device_home).exists()
