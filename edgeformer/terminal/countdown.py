"""Progress with the time left, in lines that come seconds apart however fast the parts are."""

from __future__ import annotations

import time
from collections.abc import Callable


class Countdown:
    """Says ``<what>, 3 of 37, about 20 s left``, at most once in ``EVERY_S`` seconds."""

    EVERY_S = 5.0

    def __init__(self, progress: Callable[[str], None], what: str) -> None:
        self._progress, self._what = progress, what
        self._start = self._said = time.monotonic()

    def at_part(self, part: int, parts: int, done: int, total: int) -> None:
        """``done`` of ``total`` in one of several equal parts."""
        self.at(part * total + done, parts * total)

    def at(self, done: int, total: int) -> None:
        """``done`` of ``total`` parts are over."""
        now = time.monotonic()
        if now - self._said < self.EVERY_S or not done:
            return
        self._said = now
        left_s = (now - self._start) / done * (total - done)
        self._progress(f"{self._what}, {done} of {total}, about {left_s:.0f} s left")
