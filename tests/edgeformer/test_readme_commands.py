"""Every command of the README is one that the command lines understand."""

import re
import shlex
from pathlib import Path

import pytest

from edgeformer.cli import parse
from edgeformer_devices.remote.address import parse_address
from edgeformer_runtime.cli import _parse

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def commands(program):
    lines = re.sub(r"\\\n\s*", " ", README).splitlines()
    return [line.strip() for line in lines if line.startswith(f"    {program} ")]


@pytest.mark.parametrize("line", commands("edgeformer"))
def test_the_workstation_understands(line):
    options = parse(shlex.split(line, comments=True)[1:])
    assert callable(options.run)
    if getattr(options, "on", None):
        parse_address(options.on)


@pytest.mark.parametrize("line", commands("edgeformer-run"))
def test_the_device_understands(line):
    assert callable(_parse(shlex.split(line, comments=True)[1:]).command)


def test_they_were_found():
    assert len(commands("edgeformer")) >= 14
    assert len(commands("edgeformer-run")) >= 8


def test_make_targets_exist():
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?m)^    make ([\w-]+)", README):
        assert re.search(rf"(?m)^{target}:", makefile), target
