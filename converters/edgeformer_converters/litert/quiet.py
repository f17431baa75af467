"""Keeps the converter's chatter off the terminal without losing it.

The packages underneath write progress, deprecations and C++ log lines straight to the process's standard
output and error. What they write is kept: it goes to this module's logger at DEBUG level, and the caller can
look for the reason of a failure in it. The redirection is the process's own: one thread at a time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

_LOGGER = logging.getLogger(__name__)
_OUTPUT_AND_ERROR = (1, 2)  # file descriptors: C++ code knows no sys.stderr


@dataclass
class Chatter:
    """What was written; complete when the block has ended."""

    text: str = ""


@contextlib.contextmanager
def quiet(chatter: Chatter) -> Iterator[None]:
    """Collect in ``chatter`` what the process writes to standard output and error; errors pass through."""
    with tempfile.TemporaryFile() as collected:
        try:
            with _redirected(collected.fileno()):
                yield
        finally:
            collected.seek(0)
            chatter.text = collected.read().decode(errors="replace")
            _LOGGER.debug("%s", chatter.text)


@contextlib.contextmanager
def _redirected(target: int) -> Iterator[None]:
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(descriptor) for descriptor in _OUTPUT_AND_ERROR]
    for descriptor in _OUTPUT_AND_ERROR:
        os.dup2(target, descriptor)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, original in zip(_OUTPUT_AND_ERROR, saved, strict=True):
            os.dup2(original, descriptor)
            os.close(original)
