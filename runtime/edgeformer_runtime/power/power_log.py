"""The log of an external meter, aligned with this device by wall-clock time.

CSV with a header, or JSON lines, one sample a line, times rising:

- ``unix_s``: seconds since 1970, or ``time``: ISO 8601 with its zone (2025-01-31T12:00:00.5+01:00, or …Z);
- ``watts``, or ``volts`` and ``amperes``.

Other columns are ignored. A last line without its end is left until it is whole. ``offset_s`` is added to the log's
times, where the meter's clock is behind the device's.
"""

from __future__ import annotations

import csv
import json
import math
import stat
import time
from bisect import bisect_right
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ..errors import SensorError
from ..files.json_nesting import nests_deeper

_FAMILY = "external"
_MAX_BYTES = 256 * 1024 * 1024
_MAX_W = 1e5


class LogMeter:
    """The newest sample of a log that grows."""

    family = _FAMILY
    status = "measured"
    model: Optional[str] = None
    resolution_w: Optional[float] = None
    accuracy_fraction: Optional[float] = None

    def __init__(
        self,
        path: Path,
        offset_s: float = 0.0,
        max_gap_s: float = 2.0,
        scope: str = "external meter",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not math.isfinite(offset_s) or not 0 < max_gap_s < 3600:
            raise SensorError(f"{path}: offset {offset_s} s, longest gap {max_gap_s} s: expected finite, and above 0")
        self._path = Path(path)
        self._offset_s = offset_s
        self._max_gap_s = max_gap_s
        self._clock = clock
        self.scope = scope
        self.rail: Optional[str] = self._path.name
        self._times: List[float] = []  # of this device's wall clock
        self._watts: List[float] = []
        self._header: Optional[Sequence[str]] = None
        self._read_bytes = 0
        self._lines = 0
        self._update()
        if not self._times:
            raise SensorError(f"{self._path}: no whole sample in it yet")
        self.min_interval_s = self._spacing()

    def read_watts(self) -> float:
        """The newest sample that isn't after now. Raises SensorError when it is older than the longest gap."""
        self._update()
        now = self._clock()
        index = bisect_right(self._times, now) - 1
        if index < 0 or now - self._times[index] > self._max_gap_s:
            raise SensorError(
                f"{self._path}: no sample within {self._max_gap_s:g} s before now ({now:.1f}); the log has "
                f"{self._times[0]:.1f} to {self._times[-1]:.1f}: is it still written, in seconds since 1970, and "
                "is the clocks' offset stated (EDGEFORMER_POWER_LOG_OFFSET_S)?"
            )
        return self._watts[index]

    def energy_j(self) -> Optional[float]:
        """None: a log holds power."""
        return None

    def sub_rails(self) -> Dict[str, Optional[float]]:
        """None."""
        return {}

    def close(self) -> None:
        """Nothing is held open."""

    def _spacing(self) -> float:
        steps = sorted(b - a for a, b in zip(self._times, self._times[1:]))
        return min(max(steps[len(steps) // 2], 0.001), self._max_gap_s) if steps else 1.0

    def _update(self) -> None:
        """Take the whole lines that were written since the last look."""
        try:
            status = self._path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise SensorError(f"{self._path}: not a file")
            size = status.st_size
            if size < self._read_bytes:
                raise SensorError(f"{self._path}: the log became shorter while it was read: it was replaced")
            if size > _MAX_BYTES:
                raise SensorError(f"{self._path}: {size} bytes, expected at most {_MAX_BYTES}")
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                data = file.read(size - self._read_bytes)
        except OSError as error:
            raise SensorError(f"{self._path}: {error.strerror or error}") from error
        whole = data[: data.rfind(b"\n") + 1]
        try:
            text = whole.decode("utf-8-sig" if self._read_bytes == 0 else "utf-8")
        except UnicodeDecodeError as error:
            raise SensorError(f"{self._path}: not text") from error
        self._read_bytes += len(whole)
        for line in text.splitlines():
            self._lines += 1
            if line.strip():
                self._add(line.strip())

    def _add(self, line: str) -> None:
        where = f"{self._path}, line {self._lines}"
        if line.startswith("{"):
            row: Mapping[str, Any] = _json_object(line, where)
        elif self._header is None:
            self._header = [name.strip() for name in _csv_row(line, where)]
            _refuse_header(self._header, where)
            return
        else:
            values = _csv_row(line, where)
            if len(values) != len(self._header):
                raise SensorError(f"{where}: {len(values)} values, the header names {len(self._header)}")
            row = dict(zip(self._header, values))
        when = _seconds(row, where) + self._offset_s
        if self._times and when <= self._times[-1]:
            raise SensorError(
                f"{where}: its time isn't after the one before: the log is out of order, or its clock jumped"
            )
        self._times.append(when)
        self._watts.append(_watts(row, where))


def _refuse_header(names: Sequence[str], where: str) -> None:
    timed = {"unix_s", "time"} & set(names)
    powered = "watts" in names or {"volts", "amperes"} <= set(names)
    if not timed or not powered or len(set(names)) != len(names):
        raise SensorError(
            f"{where}: columns {', '.join(names)[:80]!r}: expected unix_s or time, and watts or volts and amperes, once"
        )


def _csv_row(line: str, where: str) -> List[str]:
    try:
        return next(csv.reader([line]))
    except csv.Error as error:  # before Python 3.11 a NUL, on any a field of over 128 KiB
        raise SensorError(f"{where}: not CSV: {error}") from error


def _json_object(line: str, where: str) -> Dict[str, Any]:
    if nests_deeper(line):
        raise SensorError(f"{where}: nested too deeply: expected an object of numbers")
    try:
        value = json.loads(line)
    except ValueError as error:
        raise SensorError(f"{where}: not JSON") from error
    if not isinstance(value, dict):
        raise SensorError(f"{where}: expected an object")
    return value


def _seconds(row: Mapping[str, Any], where: str) -> float:
    if row.get("unix_s") not in (None, ""):
        return _number(row["unix_s"], f"{where}: unix_s")
    text = row.get("time")
    if not isinstance(text, str):
        raise SensorError(f"{where}: expected unix_s, or time as text")
    try:
        when = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    except ValueError:
        raise SensorError(f"{where}: time {text[:40]!r} isn't ISO 8601: seconds since 1970 go into unix_s") from None
    if when.tzinfo is None:
        raise SensorError(f"{where}: time {text[:40]!r} has no zone: add Z, or +01:00")
    return when.timestamp()


def _watts(row: Mapping[str, Any], where: str) -> float:
    if row.get("watts") not in (None, ""):
        watts = _number(row["watts"], f"{where}: watts")
    elif row.get("volts") not in (None, "") and row.get("amperes") not in (None, ""):
        watts = _number(row["volts"], f"{where}: volts") * _number(row["amperes"], f"{where}: amperes")
    else:
        raise SensorError(f"{where}: expected watts, or volts and amperes")
    if not 0 <= watts <= _MAX_W:
        raise SensorError(f"{where}: {watts:g} W: expected 0 to {_MAX_W:g}")
    return watts


def _number(value: Any, where: str) -> float:
    try:
        number = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise SensorError(f"{where}: {str(value)[:40]!r} isn't a number")
    return number
