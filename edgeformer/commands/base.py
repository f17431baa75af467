"""What commands share: their common options, lists in one word, and progress on standard error."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from edgeformer_runtime.terminal import tell

Run = Callable[[argparse.Namespace], None]


def add_command(commands: Any, name: str, summary: str, run: Run) -> argparse.ArgumentParser:
    """A command with --json and --debug."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    command.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(run=run)
    return command


def names(text: str) -> tuple[str, ...]:
    """ "a,b" as ("a", "b"); raises ArgumentTypeError for an empty name, such as behind a last comma."""
    found = tuple(item.strip() for item in text.split(","))
    if "" in found:
        raise argparse.ArgumentTypeError(f"{text!r}: expected names with a comma between them, got an empty one")
    return found


class Progress:
    """Lines on standard error, each led by the time since the start."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def __call__(self, message: str) -> None:
        """Say ``message``."""
        since = f"[{time.monotonic() - self.start:6.1f} s] "
        tell(f"{since}{message}", hang=len(since))
