"""The pages for the Raspberry Pi and the Jetson: every step says whether it was run, and its commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from edgeformer.cli import parse
from edgeformer_devices.remote.address import parse_address
from edgeformer_runtime.cli import _parser as runtime_parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("raspberry_pi_5_minutes", "jetson_10_minutes")
BLOCK = re.compile(r"```(sh|python)\n(.*?)```\n(.*?)(?=\n\n|\Z)", re.DOTALL)


def text_of(page):
    return (ROOT / "examples" / f"{page}.md").read_text(encoding="utf-8")


def commands(page, program):
    for language, block, _ in BLOCK.findall(text_of(page)):
        for line in block.splitlines() if language == "sh" else ():
            words = shlex.split(line)
            if words and Path(words[0]).name == program:
                yield words[1:]


@pytest.mark.parametrize("page", PAGES)
def test_every_step_says_whether_it_was_run(page):
    blocks = BLOCK.findall(text_of(page))
    assert len(blocks) >= 6
    for _, block, after in blocks:
        assert re.match(r"\*(Run in CI|Not run|The wheel: run in CI|pip on the board: not run)", after), block


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_are_those_of_the_command_line(page):
    found = list(commands(page, "edgeformer"))
    assert len(found) >= 3
    for words in found:
        options = parse(words)
        if words[0] == "bench":
            parse_address(options.on)
    for words in commands(page, "edgeformer-run"):
        runtime_parser().parse_args(words)


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_that_are_named_exist(page):
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text_of(page)))
    assert named
    assert all((ROOT / path).is_file() for path in named)
