"""``edgeformer-run``: look at, run, measure a bundle. Results go to standard output, the rest to stderr."""

from __future__ import annotations

import argparse
import os
from typing import Optional, Sequence

from .commands import COMMANDS, Shared
from .errors import EdgeformerError
from .foreign import debugging, foreign_errors
from .terminal import only_our_lines, out, tell
from .version import __version__

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 refused or failed, 2 wrong call or input."""
    options = _parse(arguments)
    with only_our_lines(debugging(options.debug)):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    try:
        with foreign_errors(options.name):
            options.command(options)
        out().flush()
    except KeyboardInterrupt:
        tell("edgeformer-run: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has left, as `| head` does, and Python would complain of it when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out().fileno())
        return 0
    except EdgeformerError as error:
        if debugging(options.debug):
            raise
        tell(f"edgeformer-run: {error}")
        return error.exit_status
    except OSError as error:
        if debugging(options.debug):
            raise
        tell(f"edgeformer-run: {error.filename or 'a file'}: {error.strerror or error}")
        return 1
    return 0


def _parse(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse doesn't find the texts of `predict BUNDLE --pair TEXT TEXT`, where an option stands between.
    if rest and options.name == "predict" and not any(text.startswith("-") for text in rest):
        options.texts = [*options.texts, *rest]
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edgeformer-run", description="Run and measure an edgeformer bundle.")
    parser.add_argument("--version", action="version", version=f"edgeformer-run {__version__}")
    commands = parser.add_subparsers(dest="name", metavar="COMMAND")
    commands.required = True
    shared = Shared.make()
    for add in COMMANDS:
        add(commands, shared)
    return parser
