"""Every language's copy of the table of Unicode is the table."""

from __future__ import annotations

import runpy
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "runtime" / "unicode_table"


def test_copies_are_equal() -> None:
    table = (FOLDER / "unicode_table.txt").read_text(encoding="ascii")
    files = runpy.run_path(str(FOLDER / "make.py"))["files"](table)
    assert len(files) >= 3
    assert [path.name for path, content in files.items() if path.read_text(encoding="ascii") != content] == []
