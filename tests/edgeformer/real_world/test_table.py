"""COMPLAINTS.md is what the markers say, and long enough to be worth reading."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = HERE / "COMPLAINTS.md"


@pytest.mark.slow
def test_the_table_is_what_the_markers_say(tmp_path):
    made = tmp_path / "made.md"
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", str(HERE), "--complaints", str(made)]
    done = subprocess.run(command, cwd=HERE.parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert TABLE.read_text(encoding="utf-8") == made.read_text(encoding="utf-8"), (
        f"write it again: {' '.join(command[:-1])} {TABLE}"
    )


def test_there_are_many_complaints_each_with_its_source():
    rows = [line for line in TABLE.read_text(encoding="utf-8").splitlines()[2:] if line.startswith("| ")]
    sources = {row.split(" | ")[0].removeprefix("| ") for row in rows}
    assert len(sources) >= 60
    assert [source for source in sources if "#" not in source] == []
