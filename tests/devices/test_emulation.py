"""What emulation is made of, without downloads: folders whole or not there, cores, messages for other hosts."""

from __future__ import annotations

import platform
import sys
import threading
import time
from pathlib import Path

import pytest

from edgeformer_devices.emulation import BOARDS, Board, Machine, apt, board, prepare, qemu, sysroot
from edgeformer_devices.emulation.store import kept, key
from edgeformer_devices.remote.emulated import Emulated
from edgeformer_runtime.errors import EngineError, TargetError


def test_a_folder_is_made_once_and_found_again(tmp_path):
    made = []
    for _ in range(2):
        folder = kept(tmp_path / "cache", "thing", lambda into: made.append((into / "x").write_text("x")))
    assert made == [1]
    assert (folder / "x").read_text() == "x"
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [".thing.lock", "thing"]


def test_a_failure_leaves_nothing_that_would_be_taken_for_a_result(tmp_path):
    def fail(into: Path) -> None:
        (into / "half").touch()
        raise EngineError("no network")

    with pytest.raises(EngineError):
        kept(tmp_path, "thing", fail)
    assert [path.name for path in tmp_path.iterdir()] == [".thing.lock"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".thing-killed" / "half").mkdir(parents=True)
    kept(tmp_path, "thing", lambda into: None)
    assert not (tmp_path / ".thing-killed").exists()


def test_two_that_want_the_same_wait_for_each_other(tmp_path):
    made: list[Path] = []

    def make(into: Path) -> None:
        time.sleep(0.2)
        made.append(into)

    threads = [threading.Thread(target=kept, args=(tmp_path, "thing", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_keys_follow_their_parts():
    assert key("a", [1]) == key("a", [1])
    assert len({key("a"), key("b"), key("a", 1), key(["a"])}) == 4


@pytest.mark.parametrize(
    ("machine", "system", "message"),
    [("aarch64", "Linux", "runs on x86-64 Linux, this is Linux on aarch64"), ("arm64", "Darwin", "this is Darwin")],
)
def test_other_hosts_are_told_what_would_do(monkeypatch, machine, system, message):
    monkeypatch.setattr(apt.platform, "machine", lambda: machine)
    monkeypatch.setattr(apt.platform, "system", lambda: system)
    with pytest.raises(EngineError, match=message):
        apt.check_host()


@pytest.fixture
def linux(monkeypatch):
    monkeypatch.setattr(apt.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(apt.platform, "system", lambda: "Linux")


def test_a_host_without_apt_is_told(monkeypatch, tmp_path, linux):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="needs apt-get and dpkg"):
        apt.check_host()


def test_a_host_without_debians_keys_is_told_which_package_has_them(monkeypatch, tmp_path, linux):
    for name in ("apt-get", "dpkg"):
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(apt, "KEYRING", tmp_path / "missing.gpg")
    with pytest.raises(EngineError, match="apt-get install debian-archive-keyring"):
        apt.check_host()


def test_apts_own_words_and_the_mirror_are_in_its_error(monkeypatch, tmp_path, linux):
    """A stand-in for apt-get that fails as the real one does without a network."""
    for name, code in (("apt-get", 'echo "E: Could not resolve nowhere.invalid" >&2; exit 100'), ("dpkg", "exit 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv(apt.MIRROR_VARIABLE, "http://nowhere.invalid/debian")
    monkeypatch.setattr(apt, "KEYRING", tmp_path / "apt-get")
    with pytest.raises(EngineError, match=r"nowhere\.invalid/debian the right mirror(.|\n)*Could not resolve"):
        apt.unpack(["qemu-user"], suite="trixie", architecture="amd64", into=tmp_path / "into")


def test_the_mirror_can_be_chosen(monkeypatch):
    monkeypatch.setenv(apt.MIRROR_VARIABLE, "http://mirror.example/debian")
    assert apt.mirror() == "http://mirror.example/debian"
    monkeypatch.delenv(apt.MIRROR_VARIABLE)
    assert apt.mirror().startswith("http")


def fake_qemu(path: Path, version: str, cpus: str) -> Path:
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "qemu-aarch64 version {version} (Debian)" && exit 0\n'
        f'printf "Available CPUs:\\n"; for c in {cpus}; do echo "  $c"; done\n'
    )
    path.chmod(0o755)
    return path


def test_a_program_tells_its_version_and_cores(tmp_path):
    program = fake_qemu(tmp_path / "q", "10.0.13", "cortex-a72 max")
    assert qemu.version(program) == (10, 0, 13)
    assert qemu.cpus(program) == {"cortex-a72", "max"}


@pytest.mark.parametrize(("version", "cpus"), [("7.2.1", "cortex-a72"), ("10.0.1", "cortex-a53")])
def test_the_hosts_own_qemu_is_taken_only_if_new_enough_and_if_it_knows_the_core(monkeypatch, tmp_path, version, cpus):
    (tmp_path / "bin").mkdir()
    fake_qemu(tmp_path / "bin/qemu-aarch64", version, cpus)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    def unpack(packages, *, suite, architecture, into):
        (into / "usr/bin").mkdir(parents=True)
        fake_qemu(into / "usr/bin/qemu-aarch64", "10.0.13", "cortex-a72")

    monkeypatch.setattr(qemu, "unpack", unpack)
    found = qemu.find_qemu(tmp_path / "cache", "arm64", "cortex-a72", print)
    assert found == tmp_path / f"cache/qemu-trixie-{key(*qemu.PROGRAMS.values())}/usr/bin/qemu-aarch64"
    fake_qemu(tmp_path / "bin/qemu-aarch64", "10.1.0", "cortex-a72")
    assert qemu.find_qemu(tmp_path / "cache", "arm64", "cortex-a72", print) == tmp_path / "bin/qemu-aarch64"


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "riscv64"},
        {"architecture": "amd64"},
        {"cpu_flags": "avx2"},
        {"pythons": ("3.9",)},
        {"pythons": ()},
    ],
)
def test_a_wrong_board_is_refused(change):
    with pytest.raises(TargetError):
        Board(**{"name": "x", "cpu": "y", "architecture": "arm64", **change})


def test_a_board_has_only_the_pythons_of_its_system(tmp_path):
    with pytest.raises(TargetError, match=r"emulated://raspberry-pi-3: Python 3\.13: expected 3\.11"):
        prepare(board("raspberry-pi-3"), python="3.13", cache=tmp_path)


def test_nothing_of_the_hosts_python_leaks_in(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nonsense")
    monkeypatch.setenv("LD_PRELOAD", "/nonsense.so")
    machine = Machine(BOARDS["raspberry-pi-4"], tmp_path / "qemu", tmp_path / "root", "3.11")
    environment = machine.environment([tmp_path / "site"])
    assert "PYTHONHOME" not in environment
    assert "LD_PRELOAD" not in environment
    assert environment["QEMU_CPU"] == "cortex-a72"
    assert machine.command(["-c", "pass"])[-3:] == [str(tmp_path / "root/usr/bin/python3.11"), "-c", "pass"]
    with pytest.raises(ValueError, match="runs python3, not sh"):
        Emulated("emulated://x", machine).execute(["sh"], timeout_s=1)


def test_an_x86_processor_is_told_by_its_root_not_by_the_host(tmp_path):
    """QEMU passes /proc/cpuinfo of the host on: a bundle's self-check would take the processor for the host's."""
    board_ = BOARDS["generic-x86-laptop"]
    sysroot._write_cpuinfo(tmp_path, board_)
    text = (tmp_path / "proc" / "cpuinfo").read_text()
    assert f"model name\t: {board_.cpu} (QEMU)" in text
    flags = text.split("flags\t\t: ")[1].split()
    assert "avx2" in flags
    assert not [name for name in flags if "vnni" in name or "avx512" in name or "amx" in name]


def test_a_board_is_asked_for_its_facts_as_any_device_is():
    """The agent's own program, run by this machine's Python where a board's would."""
    from edgeformer_devices.remote.base import run_local
    from edgeformer_devices.remote.emulated_run import facts_of

    class Here:
        address = "emulated://here"

        def execute(self, command, *, timeout_s):
            return run_local([sys.executable, *command[1:]], what="here", timeout_s=timeout_s)

    found = facts_of(Here())
    assert found.python == platform.python_version()
    assert found.packages["numpy"]
