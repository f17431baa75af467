"""Keeps the converters' chatter off the terminal without losing it.

The packages underneath write progress, deprecations and C++ log lines straight to the process's standard
output and error. What they write is kept: it goes to this module's logger at DEBUG level, and the caller can
look for the reason of a failure in it. The redirection is the process's own: one thread at a time.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from edgeformer_runtime.terminal import redirected

_LOGGER = logging.getLogger(__name__)


@dataclass
class Chatter:
    """What was written; complete when the block has ended."""

    text: str = ""


@contextlib.contextmanager
def quiet(chatter: Chatter | None = None) -> Iterator[None]:
    """Collect in ``chatter`` what the process writes to standard output and error; errors pass through."""
    chatter = Chatter() if chatter is None else chatter
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace", buffering=1) as collected:
        try:
            # Python's streams too: a notebook's have no file descriptor
            with (
                redirected(collected.fileno()),
                contextlib.redirect_stdout(collected),
                contextlib.redirect_stderr(collected),
            ):
                yield
        finally:
            collected.seek(0)
            chatter.text = collected.read()
            _LOGGER.debug("%s", chatter.text)
