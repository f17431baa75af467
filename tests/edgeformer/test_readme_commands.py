"""Every command of the README and of the guides is one that the command lines understand."""

import re
import shlex
from pathlib import Path

import pytest

from edgeformer.cli import parse
from edgeformer_devices.remote.address import parse_address
from edgeformer_runtime.cli import _parse

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE_FILES = [ROOT / "examples" / f"{name}_guide.md" for name in ("android", "compile", "device", "ios", "web")]
GUIDES = [path.read_text(encoding="utf-8") for path in GUIDE_FILES]
LONGEST_README = 150  # lines: for somebody with five minutes


def commands(program):
    lines = re.sub(r"\\\n\s*", " ", "\n".join([README, *GUIDES])).splitlines()
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
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"(?:^    |`)make ([\w-]+)", README, re.MULTILINE)
    assert "demo" in named
    for target in named:
        assert re.search(rf"(?m)^{target}:", makefile), target


def test_the_readme_is_short_and_its_links_lead_somewhere():
    assert len(README.splitlines()) <= LONGEST_README
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_the_files_that_documents_name_exist():
    documents = [ROOT / "CONTRIBUTING.md", ROOT / "README.md", *(ROOT / "runtime").glob("*.md"), *GUIDE_FILES]
    rooms = ("edgeformer", "converters", "devices", "runtime", "tests", "examples")
    files = [f"/{path.relative_to(ROOT).as_posix()}" for room in rooms for path in (ROOT / room).rglob("*.py")]
    for document in documents:
        for named in re.findall(r"`([\w./-]+\.py)\b", document.read_text(encoding="utf-8")):
            assert any(file.endswith(f"/{named}") for file in files), f"{document.name}: {named}"
