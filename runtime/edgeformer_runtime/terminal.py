"""Only our own lines on the terminal: what libraries write, from Python or from C, is kept off it.

The command lines write through ``say`` and ``tell``. Inside ``only_our_lines`` the process's standard output and error,
file descriptors and ``sys.stdout`` and ``sys.stderr`` alike, lead elsewhere, so that no library's habit has to be known
to be kept away: import-time warnings, progress bars, C++ log lines. Errors that matter arrive as exceptions.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import textwrap
from contextlib import ExitStack, contextmanager, suppress
from typing import Iterator, List, Optional, TextIO, Tuple

_OUTPUT, _ERROR = 1, 2  # file descriptors: C++ code knows no sys.stderr
_USUAL_COLUMNS = 80
_ours: List[Tuple[TextIO, TextIO]] = []  # the streams of the block that is open, if one is


def out() -> TextIO:
    """Where results go: standard output."""
    return _ours[-1][0] if _ours else sys.stdout


def err() -> TextIO:
    """Where progress and errors go: standard error."""
    return _ours[-1][1] if _ours else sys.stderr


def say(text: str = "") -> None:
    """Print a line of a result."""
    print(text, file=out(), flush=True)


def tell(text: str, hang: int = 0) -> None:
    """Print a line of progress, or an error; on a terminal, where it is too long, further lines begin at ``hang``."""
    if hang and err().isatty():
        text = textwrap.fill(text, _columns(err()), subsequent_indent=" " * hang, break_long_words=False)
    print(text, file=err(), flush=True)


@contextmanager
def only_our_lines(debug: bool = False) -> Iterator[None]:
    """Inside the block only ``out()`` and ``err()`` reach the user.

    With ``debug`` what libraries write reaches standard error as it comes; else it is thrown away. A crash of the
    process, which no exception tells of, shows where it happened. A block within a block changes nothing.
    """
    if _ours:
        yield
        return
    with ExitStack() as stack:
        ours = (stack.enter_context(_kept(sys.stdout, _OUTPUT)), stack.enter_context(_kept(sys.stderr, _ERROR)))
        theirs = _file_descriptor(ours[1]) if debug else None
        if theirs is None:
            theirs = os.open(os.devnull, os.O_WRONLY)
            stack.callback(os.close, theirs)
        stack.enter_context(redirected(theirs))
        stack.enter_context(_python_streams(theirs))
        stack.enter_context(_crashes_told_to(ours[1]))
        _ours.append(ours)
        try:
            yield
        finally:
            _ours.pop()


@contextmanager
def redirected(target: int) -> Iterator[None]:
    """What the process writes to file descriptors 1 and 2 goes to descriptor ``target``."""
    _flush()
    saved = [(descriptor, os.dup(descriptor)) for descriptor in (_OUTPUT, _ERROR)]
    for descriptor, _ in saved:
        os.dup2(target, descriptor)
    try:
        yield
    finally:
        _flush()
        for descriptor, original in saved:
            os.dup2(original, descriptor)
            os.close(original)


@contextmanager
def _kept(stream: TextIO, descriptor: int) -> Iterator[TextIO]:
    """A stream to where ``stream`` writes now, whatever becomes of ``descriptor``."""
    if _file_descriptor(stream) != descriptor:  # a notebook's or a test's own: redirecting doesn't touch it
        yield stream
        return
    stream.flush()
    # a terminal that isn't UTF-8 must not stop the work
    kept = os.fdopen(os.dup(descriptor), "w", encoding=stream.encoding, errors="backslashreplace")
    try:
        yield kept
    finally:
        with suppress(OSError):  # callers flush where a failure can still be told
            kept.close()


@contextmanager
def _python_streams(target: int) -> Iterator[None]:
    """``sys.stdout`` and ``sys.stderr`` write to descriptor ``target``."""
    saved = sys.stdout, sys.stderr
    theirs = os.fdopen(os.dup(target), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    sys.stdout = sys.stderr = theirs
    try:
        yield
    finally:
        sys.stdout, sys.stderr = saved
        with suppress(OSError):
            theirs.close()


@contextmanager
def _crashes_told_to(stream: TextIO) -> Iterator[None]:
    if faulthandler.is_enabled() or _file_descriptor(stream) is None:
        yield
        return
    faulthandler.enable(stream)
    try:
        yield
    finally:
        faulthandler.disable()


def _file_descriptor(stream: TextIO) -> Optional[int]:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):  # in memory, closed, or none at all
        return None


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_COLUMNS
    except (OSError, ValueError):
        return _USUAL_COLUMNS


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


__all__ = ["err", "only_our_lines", "out", "redirected", "say", "tell"]
