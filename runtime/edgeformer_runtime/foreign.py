"""What libraries raise, turned into one error that says where the work stood, whose exception it is, and what to do.

Engines and tokenizers have no common base of their exceptions, so this is the net under all of them: a place that
knows the cause catches it earlier and says it better.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import PurePath
from traceback import FrameSummary, extract_tb
from types import TracebackType
from typing import Iterator, List, Optional

from .errors import EdgeformerError, InternalError

DEBUG_VARIABLE = "EDGEFORMER_DEBUG"
_LONGEST = 300  # characters of a library's message; some print whole graphs
_TORCH_OUT_OF_MEMORY = "DefaultCPUAllocator: "  # it raises a RuntimeError
_INSTALLED = ("site-packages", "dist-packages")


def debugging(option: bool) -> bool:
    """Whether tracebacks are wanted: by ``--debug``, or by the environment."""
    return option or os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


@contextmanager
def foreign_errors(where: str, *, lead_ours: bool = False) -> Iterator[None]:
    """Raise InternalError, led by ``where``, for whatever isn't ours; errors of the file system pass as they are.

    With ``lead_ours`` our own errors are led by ``where`` too.
    """
    try:
        yield
    except EdgeformerError as error:
        if lead_ours:
            error.args = (f"{where}: {error}",)
        raise
    except OSError as error:
        if error.errno is not None:  # the disk is full, a file can't be read: the command lines have words for it
            raise
        raise internal_error(error, where) from error
    except BaseException as error:
        if not is_foreign(error):
            raise
        raise internal_error(error, where) from error


def is_foreign(error: BaseException) -> bool:
    """Whether this is something that went wrong, and no request to stop: a panic of Rust code is no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def internal_error(error: BaseException, where: str) -> InternalError:
    """``error`` in one sentence: where, which library, its first line, and what to do next."""
    if isinstance(error, MemoryError) or _TORCH_OUT_OF_MEMORY in str(error):
        return InternalError(
            f"{where}: out of memory: {first_line(error)}. Choose shorter sequence lengths or fewer rows, "
            "or a machine with more memory"
        )
    library = library_of(error)
    if library is None:
        raised, advice = f"edgeformer failed{_place(error)}", "that is a defect in edgeformer, please report it"
    else:
        raised, advice = library, "if the input is sound, that is a gap in edgeformer, please report it"
    return InternalError(
        f"{where}: {raised}: {type(error).__name__}: {first_line(error)}. "
        f"Run again with --debug or {DEBUG_VARIABLE}=1 for the traceback; {advice}"
    )


def first_line(error: BaseException) -> str:
    """The first line of an exception's text that says something, cut where it is long; with the next after a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else "no message"
    if text.endswith(":") and len(lines) > 1:
        text = f"{text} {lines[1]}"
    return text.rstrip(".") if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def library_of(error: BaseException) -> Optional[str]:
    """Name and version of the package that our code called when ``error`` arose; None where it is our own."""
    frames = _frames(error.__traceback__)
    ours = max((i for i, frame in enumerate(frames) if _package(frame) is None and _is_ours(frame)), default=-1)
    package = next((name for name in map(_package, frames[ours + 1 :]) if name is not None), None)
    if package is None:  # raised by compiled code, which leaves no frame
        top = type(error).__module__.split(".")[0]
        file = getattr(sys.modules.get(top), "__file__", None) or ""
        package = top if any(part in file for part in _INSTALLED) else None
    if package is None or package.startswith("edgeformer"):
        return None
    version = getattr(sys.modules.get(package), "__version__", None)
    return f"{package} {version} raised" if isinstance(version, str) else f"{package} raised"


def _frames(trace: Optional[TracebackType]) -> List[FrameSummary]:
    return list(extract_tb(trace))


def _is_ours(frame: FrameSummary) -> bool:
    return any(part.startswith("edgeformer") for part in PurePath(frame.filename).parts)


def _package(frame: FrameSummary) -> Optional[str]:
    """The installed package, other than ours, whose code a frame is; None for ours and the standard library."""
    parts = PurePath(frame.filename).parts
    for folder in _INSTALLED:
        if folder in parts[:-1]:
            name = parts[len(parts) - parts[::-1].index(folder)].split(".")[0]
            return None if name.startswith("edgeformer") else name
    return None


def _place(error: BaseException) -> str:
    frames = [frame for frame in _frames(error.__traceback__) if _is_ours(frame) and frame.filename != __file__]
    if not frames:
        return ""
    return f" in {PurePath(frames[-1].filename).name}, line {frames[-1].lineno}"
