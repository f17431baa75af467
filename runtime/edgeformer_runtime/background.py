"""Calls in the background, one after the other, with a bound on how many wait."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Optional, Set, TypeVar

from .errors import BusyError, InputError

T = TypeVar("T")

DEFAULT_QUEUE_SIZE = 64


def check_queue_size(size: object) -> None:
    """Raise InputError unless ``size`` is an integer of at least 1."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InputError(f"queue size {size!r}: expected an integer of at least 1")


class Background:
    """Runs functions in one thread of its own, in order. At most ``limit`` may wait or run at a time.

    One thread, since an engine uses all of the session's threads for one inference. It is started with the first call
    and doesn't keep the program alive.
    """

    def __init__(self, limit: int) -> None:
        check_queue_size(limit)
        self._limit = limit
        self._lock = threading.Lock()
        self._pending: "Set[Future[Any]]" = set()
        self._executor: Optional[ThreadPoolExecutor] = None
        self._closed = False

    def submit(self, call: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Run ``call(*arguments)`` later; raises BusyError when ``limit`` calls wait, InputError after ``close``."""
        with self._lock:
            if self._closed:
                raise InputError("this session is closed: open a new one")
            if len(self._pending) >= self._limit:
                raise BusyError(
                    f"{self._limit} calls wait already: wait for one of their futures, or open the session with a "
                    "larger queue_size"
                )
            if self._executor is None:
                self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgeformer-session")
            future = self._executor.submit(call, *arguments)
            self._pending.add(future)
        future.add_done_callback(self._done)  # outside the lock: it may be called at once, in this thread
        return future

    def _done(self, future: "Future[Any]") -> None:
        with self._lock:
            self._pending.discard(future)

    def close(self) -> None:
        """Cancel what waits, let what runs end; returns at once. Calling it twice is harmless."""
        with self._lock:
            self._closed = True
            pending, executor = list(self._pending), self._executor
        for future in pending:
            future.cancel()
        if executor is not None:
            executor.shutdown(wait=False)


class Gate:
    """Counts the calls inside, and tells who has to release what they use: the last one out after ``close``.

    ``close`` doesn't wait, so that it can't wait for itself: it may be called from a callback, or from a signal.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal may arrive while this thread holds it
        self._inside = 0
        self._released = False
        self.closed = False

    def enter(self) -> None:
        """Count a call; raises InputError when the gate is closed."""
        with self._lock:
            if self.closed:
                raise InputError("this session is closed: open a new one")
            self._inside += 1

    def leave(self) -> bool:
        """The end of a call that ``enter`` counted; True, once, for the caller that has to release."""
        with self._lock:
            self._inside -= 1
            return self.closed and self._may_release()

    def close(self) -> bool:
        """Let nobody in from now on; True, once, for the caller that has to release. Calling it twice is harmless."""
        with self._lock:
            self.closed = True
            return self._may_release()

    def _may_release(self) -> bool:
        if self._inside or self._released:
            return False
        self._released = True
        return True
