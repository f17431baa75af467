"""edgeformer: the command line of the workstation.

Results go to standard output (one JSON object with --json), progress and errors to standard error. Exit status: 0 done;
1 refused, with the reason, and nothing published; 2 the call or its input is wrong.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module

from edgeformer_runtime.errors import EdgeformerError
from edgeformer_runtime.foreign import debugging, foreign_errors
from edgeformer_runtime.terminal import err, only_our_lines, tell

from .commands import COMMANDS
from .malloc import keep_freed_pages
from .version import __version__

REFUSED, WRONG_INPUT = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    keep_freed_pages()
    if not hasattr(options, "run"):
        build_parser().print_help()
        return WRONG_INPUT
    return guarded(lambda: options.run(options), debug=debugging(options.debug), command=options.command)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; argparse prints what is wrong and exits with 2."""
    from .commands.report import joined

    return build_parser().parse_args(joined(arguments))


def guarded(work: Callable[[], None], *, debug: bool, command: str = "edgeformer") -> int:
    """Run ``work``; an error becomes one message and an exit status, with a traceback only when asked for.

    What libraries print, and log, is shown with ``debug`` alone.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with only_our_lines(debug), _converters_log() if debug else nullcontext():
        return _guarded(work, debug, command)


@contextmanager
def _converters_log() -> Iterator[None]:
    """Shows what the converters caught of their libraries' lines."""
    log, handler = logging.getLogger("edgeformer_converters"), logging.StreamHandler(err())
    level = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _guarded(work: Callable[[], None], debug: bool, command: str) -> int:
    try:
        with foreign_errors(command):
            work()
        return 0
    except EdgeformerError as error:
        return _fail(str(error), error.exit_status, debug)
    except KeyboardInterrupt as error:  # with a text where the command has one of its own
        return _fail(str(error) or "interrupted: nothing was published. The same command goes on from the last "
                     "finished stage", REFUSED, debug)  # fmt: skip
    except BrokenPipeError:
        return REFUSED
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full: nothing was published. Free some space and run the command again"
        return _fail(what if full else f"{error.filename or 'a file'}: {error.strerror or error}",
                     REFUSED if full else WRONG_INPUT, debug)  # fmt: skip


def _fail(message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc(file=err())
    tell(f"edgeformer: {message}")
    return status


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; importing nothing heavy, so that --help answers at once."""
    parser = argparse.ArgumentParser(
        prog="edgeformer",
        description="Compile a fine-tuned transformer and its LoRA adapter into one verified bundle for small devices.",
    )
    parser.add_argument("--version", action="version", version=f"edgeformer {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    for name in COMMANDS:
        import_module(f".commands.{name}", __package__).add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
