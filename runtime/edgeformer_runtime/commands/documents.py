"""What `edgeformer-run predict` reads from files, and what it says of documents, time and memory."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ..device.facts import peak_rss_bytes
from ..device.memory import process_bytes
from ..errors import InputError

STDIN = "-"
# 4,096 tokens are about 20 kB; a file beyond this is no text, or a whole corpus
MAX_FILE_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Row:
    """One row for ``Session.predict``, how the output names it, and the document that it came from, if one."""

    texts: Union[str, Tuple[str, str]]
    label: str
    document: Optional[str] = None

    @property
    def source(self) -> Dict[str, str]:
        """{"document": …} where it came from one, else nothing."""
        return {} if self.document is None else {"document": self.document}


def documents(names: Sequence[str], before: Optional[str]) -> List[Row]:
    """Each file as one text, line ends included; ``before`` is the first text of the pair with each, if given."""
    if list(names).count(STDIN) > 1:
        raise InputError("--file -: standard input can be read only once")
    found = []
    for name in names:
        text = _read(name)
        if not text.strip():
            raise InputError(f"{_shown(name)}: is empty: expected a document of UTF-8 text")
        found.append(Row(text if before is None else (before, text), name, name))
    return found


def lines(name: str, pair: bool) -> List[Row]:
    """One row for each line that isn't empty; with ``pair`` each holds two texts with a tab between."""
    found = []
    for number, line in enumerate(_read(name).splitlines(), start=1):
        if not line.strip():
            continue
        if not pair:
            found.append(Row(line, line))
            continue
        parts = line.split("\t")
        if len(parts) != 2:
            raise InputError(f"{_shown(name)}: line {number}: expected two texts with a tab between, got {len(parts)}")
        found.append(Row((parts[0], parts[1]), " | ".join(parts)))
    if not found:
        raise InputError(f"{_shown(name)}: is empty: expected one text a line")
    return found


class Memory:
    """Resident memory of this process at named moments, and its peak, in bytes; None where the system doesn't say."""

    def __init__(self) -> None:
        self._notes: Dict[str, Optional[int]] = {}
        self._peak_before = peak_rss_bytes()

    def note(self, moment: str) -> None:
        """Remember what is resident now."""
        self._notes[moment] = process_bytes()[0]

    def to_dict(self) -> Dict[str, Any]:
        """``rss_bytes`` by moment, ``peak_rss_bytes`` so far, ``peak_growth_bytes`` since this object was made."""
        seen = [count for count in (peak_rss_bytes(), *self._notes.values()) if count is not None]
        peak = max(seen) if seen else None  # Linux counts pages in batches, so a moment can lie above its own peak
        growth = None if peak is None or self._peak_before is None else peak - self._peak_before
        facts = {"rss_bytes": dict(self._notes), "peak_rss_bytes": peak, "peak_growth_bytes": growth}
        missing = peak is None or None in self._notes.values()
        return {**facts, "missing_because": "this system doesn't tell a process its memory" if missing else None}


def summary(results: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> List[str]:
    """Sentences about documents that were run: tokens read and cut, time, what ran them, memory before and after."""
    told = []
    for number, result in enumerate(results, start=1):
        cut = result["tokens_cut"]
        left_out = "an unknown number" if cut is None else f"{cut:,}"
        told.append(
            f"document {number} of {len(results)}: {result['tokens']:,} tokens read, at most {facts['max_length']:,}, "
            f"{left_out} cut{' at its end' if cut else ''}, {result['latency_ms']:,.1f} ms"
        )
    told.append(f"variant {facts['variant']} on {facts['engine']}, {_count(facts['threads'], 'thread')}")
    told.extend(facts["delegation"])
    memory = facts["memory"]
    moments = ", ".join(f"{_mb(count)} {moment.replace('_', ' ')}" for moment, count in memory["rss_bytes"].items())
    peak = f"peak {_mb(memory['peak_rss_bytes'])}, {_mb(memory['peak_growth_bytes'])} more than before opening"
    reason = "" if memory["missing_because"] is None else f" ({memory['missing_because']})"
    return [*told, f"memory: {moments}; {peak}{reason}"]


def _read(name: str) -> str:
    """The text of a file, or of standard input for "-"."""
    try:
        if name == STDIN:
            data = _bounded(name, sys.stdin.buffer)
        else:
            with Path(name).open("rb") as file:
                data = _bounded(name, file)
    except OSError as error:
        raise InputError(f"{_shown(name)}: can't be read: {error.strerror or error}") from error
    try:
        text = data.decode("utf-8-sig")  # editors on Windows put a mark of three bytes in front
    except UnicodeDecodeError as error:
        raise InputError(
            f"{_shown(name)}: is no UTF-8 text: {error.reason} 0x{data[error.start]:02x} at byte {error.start}: "
            "convert it, as with iconv -t UTF-8"
        ) from error
    if "\0" in text:
        raise InputError(
            f"{_shown(name)}: holds a NUL at character {text.index(chr(0))}: expected text, not binary data"
        )
    return text


def _bounded(name: str, file: BinaryIO) -> bytes:
    data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise InputError(
            f"{_shown(name)}: is larger than {MAX_FILE_BYTES // 2**20} MiB, far more than a model reads: split it, or "
            "give its beginning"
        )
    return data


def _shown(name: str) -> str:
    return "standard input" if name == STDIN else name


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _mb(count: Optional[int]) -> str:
    return "unknown" if count is None else f"{count / 1e6:,.0f} MB"
