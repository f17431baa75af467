"""A device that has Python and nothing else, reached over a real sshd: the engine comes from here, or by its own pip.

The device is this machine with a home of its own and a Python without our packages. Needs sshd and a package index.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
from pathlib import Path

import pytest

from edgeformer_devices.remote import Options, RemoteError, bench
from edgeformer_runtime.bundle.bundle import Bundle


def load(name):
    """A module of tests/devices, which is no installed package."""
    package = "devices_tests"
    folder = Path(__file__).resolve().parents[1] / "devices"
    if package not in sys.modules:
        where = [str(folder)]
        spec = importlib.util.spec_from_file_location(package, folder / "__init__.py", submodule_search_locations=where)
        sys.modules[package] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{package}.{name}")


conftest, ssh = load("conftest"), load("test_remote_ssh")
pytestmark = ssh.pytestmark
bundle_path = conftest.bundle_path


@pytest.fixture
def device(tmp_path):
    """A running sshd, and the home of its sessions."""
    home = tmp_path / "device"
    (home / "bin").mkdir(parents=True)
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    # Not a link: a linked interpreter would look for its library beside the link.
    (home / "bin/python3").write_text(f'#!/bin/sh\nexec {base} "$@"\n')
    (home / "bin/python3").chmod(0o755)
    (tmp_path / "sshd").mkdir()
    server = ssh.Sshd(tmp_path / "sshd", home)
    yield server, home
    server.close()


@pytest.mark.parametrize("way", ["workstation", "device"])
def test_the_engine_is_installed_and_measured_and_nothing_is_left(bundle_path, device, tmp_path, way):
    server, home = device
    lines: list[str] = []
    options = Options(variant="onnx", engine="onnxruntime", way=way, quick=True, threads=1)
    with Bundle.open(bundle_path) as bundle:
        found = bench(bundle, server.address, options, cache=tmp_path / "cache", ssh_config=server.config(),
                      progress=lines.append)  # fmt: skip
    print("\n".join(lines))
    assert found.installed.way == way
    assert found.report.engine.startswith("onnxruntime ")
    assert found.report.device.machine == platform.machine()
    assert not conftest.folder_of(home).exists()
    assert [path.name for path in home.iterdir() if path.name not in ("bin", ".cache")] == []


def test_an_engine_that_has_no_wheel_for_the_device_is_named(bundle_path, device, tmp_path, monkeypatch):
    """An index that has nothing, on both sides."""
    server, home = device
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    options = Options(variant="onnx", engine="onnxruntime", way="workstation", quick=True)
    with Bundle.open(bundle_path) as bundle, pytest.raises(RemoteError, match=r"no wheel of .*onnxruntime"):
        bench(bundle, server.address, options, cache=tmp_path / "cache", ssh_config=server.config())
    assert not conftest.folder_of(home).exists()
