"""Profiles: every one loads, every number has a source, and a wrong one is refused by the name of its key."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

import edgeformer_devices
from edgeformer_devices.profile import load, load_all, names, parse_profile
from edgeformer_runtime.errors import InputError, TargetError
from edgeformer_runtime.power import FAMILIES

REQUIRED = {
    "raspberry-pi-3", "raspberry-pi-zero-2-w", "raspberry-pi-4", "raspberry-pi-5",
    "jetson-nano", "jetson-xavier-nx", "jetson-orin-nano", "jetson-agx-orin",
    "iphone-13", "iphone-15", "pixel-7", "pixel-8", "generic-x86-laptop", "generic-arm64-board",
}  # fmt: skip

PLAIN = """
name = "board"
title = "A board"
arch = "aarch64"
cpu_cores = 4
cpu_features = ["asimd"]
memory_bytes = 1024

[[engines]]
name = "onnxruntime"
version = "1.31.1"
max_opset = 26

[sources]
cpu_cores = "data sheet"
cpu_features = "data sheet"
memory_bytes = "data sheet"
"onnxruntime.version" = "PyPI"
"onnxruntime.max_opset" = "release notes"
"""


def test_names_are_sorted_and_complete() -> None:
    assert set(names()) == REQUIRED
    assert list(names()) == sorted(names())


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_profile_has_a_source_for_every_number(name: str) -> None:
    target = load(name)
    assert target.name == name
    assert target.title
    for key in ("cpu_cores", "cpu_features", "memory_bytes"):
        assert target.sources[key]
    for engine in target.engines:
        assert target.sources[f"{engine.name}.version"]
        if engine.name in {"onnxruntime", "tensorrt"}:
            assert engine.max_opset is not None
            assert target.sources[f"{engine.name}.max_opset"]


def test_load_all_is_every_profile() -> None:
    assert tuple(target.name for target in load_all()) == names()


def test_profiles_lie_inside_the_package() -> None:
    """The wheel is built from the package's folder, so this is what gets shipped."""
    folder = Path(edgeformer_devices.__file__).parent / "profiles"
    assert {path.stem for path in folder.glob("*.toml")} == REQUIRED
    assert (resources.files("edgeformer_devices") / "profiles" / "iphone-13.toml").is_file()


def test_limits_that_exporters_depend_on() -> None:
    limits = {
        (target.name, engine.name): (engine.version, engine.max_opset)
        for target in load_all()
        for engine in target.engines
    }
    assert limits["jetson-nano", "tensorrt"] == ("8.2.1", 13)
    assert limits["jetson-xavier-nx", "tensorrt"] == ("8.5.2", 17)
    assert limits["jetson-xavier-nx", "onnxruntime"] == ("1.19.2", 21)
    assert limits["jetson-orin-nano", "tensorrt"] == ("10.3.0", 21)
    assert limits["jetson-orin-nano", "onnxruntime"] == ("1.23.2", 23)
    assert limits["iphone-13", "coreml"] == ("iOS18", None)
    assert [engine.name for engine in load("raspberry-pi-3").engines] == ["tflite_runtime"]


def test_unknown_device_names_the_nearest() -> None:
    with pytest.raises(TargetError, match="'rasberry-pi-5' is unknown: did you mean raspberry-pi-5"):
        load("rasberry-pi-5")
    with pytest.raises(InputError, match="jetson-nano"):
        load("zzzz")


@pytest.mark.parametrize("name", ["../profile", "/etc/passwd", ""])
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(TargetError, match="is unknown"):
        load(name)


def test_plain_profile_parses() -> None:
    target = parse_profile(PLAIN, "board")
    engine = target.engine("onnxruntime")
    assert engine is not None
    assert engine.max_opset == 26


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cpu_cores = 4", "cpu_cors = 4", "unknown key 'cpu_cors': did you mean 'cpu_cores'"),
        ("cpu_cores = 4", "wings = 2\ncpu_cores = 4", "unknown key 'wings': expected one of"),
        ("cpu_cores = 4", "", "missing cpu_cores"),
        ("cpu_cores = 4", 'cpu_cores = "4"', "cpu_cores is '4': expected int"),
        ("cpu_cores = 4", "cpu_cores = true", "cpu_cores is True: expected int"),
        ("cpu_cores = 4", "cpu_cores = 0", "must be positive"),
        ('"aarch64"', '"sparc"', "arch 'sparc'"),
        ('["asimd"]', "[1]", "cpu_features: 1"),
        ('name = "board"', 'name = "plank"', "its name is 'plank'"),
        ('name = "onnxruntime"', 'name = "onnx"', "engine 'onnx' is unknown"),
        ("max_opset = 26", "opset = 26", "unknown key 'opset': did you mean 'max_opset'"),
        ('"onnxruntime.version" = "PyPI"', "", "onnxruntime.version has no source"),
        ('cpu_cores = "data sheet"', 'cpu_cores = " "', "a text that isn't empty"),
        ('"onnxruntime.version"', 'weight = "scales"\n"onnxruntime.version"', "names 'weight'"),
        ("cpu_cores = 4", "cpu_cores =", "not valid TOML"),
    ],
)
def test_malformed_profile_is_refused(old: str, new: str, message: str) -> None:
    assert PLAIN.count(old) >= 1
    with pytest.raises(TargetError, match=message):
        parse_profile(PLAIN.replace(old, new, 1), "board")


def test_engines_must_be_tables() -> None:
    head, _, rest = PLAIN.partition("[[engines]]")
    with pytest.raises(TargetError, match="expected tables, got int"):
        parse_profile(f"{head}engines = [1]\n[sources]{rest.partition('[sources]')[2]}", "board")


@pytest.mark.parametrize("name", names())
def test_the_power_sensor_is_a_family_of_the_runtime(name: str) -> None:
    assert load(name).power_sensor in {None, *FAMILIES}
