"""Which packages a device gets: markers and tags of the device, not of this machine; and our own wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

import edgeformer_runtime
from edgeformer_devices.remote.base import RemoteError
from edgeformer_devices.remote.facts import Facts
from edgeformer_devices.remote.install import choose_engines
from edgeformer_devices.remote.wheels import _dispensable, _needed, device_wheel, make_site, platform_tags, requirements
from edgeformer_runtime.errors import InputError

PI = Facts("aarch64", "3.11.2", "glibc", "2.36", 10**9)
JETSON_5 = Facts("aarch64", "3.8.10", "glibc", "2.31", 10**9)
PI_32 = Facts("armv7l", "3.11.2", "glibc", "2.36", 10**9, {"numpy": "1.24.2"})


def texts(extras, facts):
    return sorted(str(item) for item in requirements(extras, facts))


def test_requirements_are_those_of_the_devices_python():
    assert any(item.startswith("tokenizers<0.21") for item in texts(["onnxruntime"], JETSON_5))
    assert "tokenizers>=0.15" in texts(["onnxruntime"], PI)
    assert any(item.startswith("onnxruntime") for item in texts(["onnxruntime"], PI))
    assert not any(item.startswith("ai-edge-litert") for item in texts(["onnxruntime"], PI))
    assert not any(item.startswith("ai-edge-litert") for item in texts(["litert"], JETSON_5))  # none for 3.8
    assert "tflite-runtime==2.14.0" in texts(["tflite-runtime"], PI_32)


def test_a_marker_is_judged_by_the_device():
    declared = ["backport; python_version < '3.9'", "arm-only; platform_machine == 'aarch64'", "win; os_name == 'nt'",
                "more; extra == 'more'"]  # fmt: skip
    assert [str(item) for item in _needed(declared, JETSON_5)] == ["backport", "arm-only"]
    assert [str(item) for item in _needed(declared, PI, ["more"])] == ["arm-only", "more"]


def test_tags_go_down_from_the_devices_own_c_library():
    tags = platform_tags(JETSON_5, "jetson")
    assert tags[0] == "manylinux_2_31_aarch64"
    assert "manylinux_2_17_aarch64" in tags
    assert "manylinux_2_34_aarch64" not in tags


def test_a_device_without_glibc_is_refused():
    with pytest.raises(RemoteError, match="need glibc"):
        platform_tags(Facts("aarch64", "3.12.1", "", "", 10**9), "alpine")


def test_32_bit_arm_uses_its_own_numpy_and_goes_without_tokenizers():
    wanted = requirements(["tflite-runtime"], PI_32)
    assert _dispensable("numpy", wanted, PI_32) == "numpy 1.24.2 is the device's own"
    assert "texts don't" in (_dispensable("tokenizers", wanted, PI_32) or "")
    newer = Facts("armv7l", "3.11.2", "glibc", "2.36", 10**9, {"numpy": "2.1.0"})
    assert _dispensable("numpy", wanted, newer) is None  # tflite-runtime needs one below 2
    assert _dispensable("numpy", wanted, PI) is None
    nonsense = Facts("armv7l", "3.11.2", "glibc", "2.36", 10**9, {"numpy": "newest\x1b"})
    assert _dispensable("numpy", wanted, nonsense) is None


def test_our_wheel_is_whole_reproducible_and_installs(tmp_path):
    one, two = (device_wheel(tmp_path / name) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    names = zipfile.ZipFile(one).namelist()
    assert "edgeformer_runtime/session.py" in names
    assert not any("__pycache__" in name for name in names)
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", tmp_path / "site", one]
    subprocess.run(install, check=True, capture_output=True)
    code = "import edgeformer_runtime as e; print(e.__file__, e.__version__)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == [
        str(tmp_path / "site/edgeformer_runtime/__init__.py"),
        edgeformer_runtime.__version__,
    ]


def test_a_wheel_that_does_not_exist_is_named_with_python_and_processor(tmp_path, monkeypatch):
    """pip with an index that is an empty folder, which is what a device without a fitting wheel looks like."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    facts = Facts("aarch64", "3.13.1", "glibc", "2.41", 10**9)
    with pytest.raises(
        RemoteError, match=r"no wheel of .*onnxruntime.* fits Python 3\.13 on aarch64.*--install device"
    ):
        make_site(tmp_path / "cache", ["onnxruntime"], facts, "pi", print)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_engines_follow_the_bundle_and_the_device(bundle):
    manifest = bundle.manifest
    assert choose_engines(manifest, "auto", None, PI) == ("litert", "onnxruntime")
    assert choose_engines(manifest, "onnx", None, PI) == ("onnxruntime",)
    assert choose_engines(manifest, "auto", "installed", PI) == ()
    assert choose_engines(manifest, "auto", None, PI_32) == ("tflite-runtime",)
    assert choose_engines(manifest, "tflite", "litert", PI_32) == ("tflite-runtime",)


@pytest.mark.parametrize(
    ("variant", "engine", "facts", "message"),
    [
        ("nonsense", None, PI, "the bundle has auto, onnx, tflite"),
        ("onnx", "litert", PI, "no variant asked for runs on it: they are for onnxruntime"),
        ("onnx", None, PI_32, "no engine for armv7l runs a variant"),
        ("auto", "torch", PI, "expected onnxruntime, litert, tflite-runtime or installed"),
    ],
)
def test_a_wrong_choice_is_refused(bundle, variant, engine, facts, message):
    with pytest.raises(InputError, match=message):
        choose_engines(bundle.manifest, variant, engine, facts)
