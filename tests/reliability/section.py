"""What a section of the reliability run hands back: one line of JSON on standard output."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

MAX_SHOWN = 20


def report(count: int, failures: Sequence[str], note: str = "") -> int:
    """Print the result of a section; returns its exit status."""
    for failure in failures[:MAX_SHOWN]:
        print(f"FAILED {failure}", file=sys.stderr)
    print(json.dumps({"count": count, "failures": len(failures), "note": note}))
    return 1 if failures else 0


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder, in memory where that is to be had: a thousand installs sync ten thousand times."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)


def peak_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(run: Callable[[int], int], default: int) -> None:
    """Run a section as a program of its own: ``--count`` says how many cases."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--count", type=int, default=default)
    sys.exit(run(parser.parse_args().count))
