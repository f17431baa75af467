"""Reading the small files of the kernel. What is wrong with one is a SensorError with the reason, never a number."""

from __future__ import annotations

import errno
import math
import os
import re
from pathlib import Path
from typing import Optional, Tuple

from ..errors import SensorError

MAX_BYTES = 16 * 1024  # a sysfs file is at most a page of 4 KiB; /proc/stat of a large machine is longer
MAX_BOARD_W = 2000.0  # beyond what any board or processor package here draws: a broken reading
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,9})?\Z", re.ASCII)
_WHY = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EAGAIN: "not available at the moment (EAGAIN: the rail or the sensor is switched off)",
    errno.ENODEV: "the device is gone",
    errno.ENOENT: "doesn't exist",
    errno.ENODATA: "no data (ENODATA: the channel is switched off)",
    errno.ENXIO: "the device doesn't answer",
    errno.EIO: "the device doesn't answer (EIO)",
}


class DeniedError(SensorError):
    """A sensor is there and this user may not read it."""


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """At most ``limit`` + 1 bytes of a file, in one read as the kernel's files want it. Raises OSError."""
    # without O_NONBLOCK a named pipe in a sensor's place would stop the measurement for ever
    handle = os.open(str(path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        return os.read(handle, limit + 1)
    finally:
        os.close(handle)


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """The text of a small file, stripped. Raises SensorError: unreadable, longer than ``limit`` bytes, not text."""
    try:
        data = read_bytes(path, limit)
    except OSError as error:
        kind = DeniedError if error.errno in (errno.EACCES, errno.EPERM) else SensorError
        raise kind(f"{path}: {_WHY.get(error.errno or 0, error.strerror or str(error))}") from error
    if len(data) > limit:
        raise SensorError(f"{path}: longer than {limit} bytes, which no file of a sensor is")
    try:
        return data.decode("utf-8").strip("\0 \t\r\n")
    except UnicodeDecodeError as error:
        raise SensorError(f"{path}: not text") from error


def read_number(path: Path) -> float:
    """The one plain decimal number in a file, in the unit of the file. Raises SensorError."""
    text = read_text(path)
    if not _NUMBER.match(text):
        raise SensorError(f"{path}: expected a number, got {text[:40]!r}")
    return float(text)


def number_or_none(path: Path) -> Optional[float]:
    """As ``read_number``; None where there is no readable number."""
    try:
        return read_number(path)
    except SensorError:
        return None


def text_or_none(path: Path) -> Optional[str]:
    """As ``read_text``; None where there is no readable, non-empty text."""
    try:
        return read_text(path) or None
    except SensorError:
        return None


def listing(folder: Path) -> Tuple[Path, ...]:
    """What lies in a folder, by name with numbers in their order; nothing where it can't be listed."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return ()
    return tuple(folder / name for name in sorted(names, key=_natural))


def shown(path: Path, root: Path) -> str:
    """A path as the device calls it, without the root that stands in for / in tests."""
    try:
        return "/" + path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def positive_watts(watts: float, what: str, limit_w: float = MAX_BOARD_W) -> float:
    """``watts`` when it can be the power of something that runs, else SensorError.

    A total of 0 W is refused: the processor that reads it draws power.
    """
    if not math.isfinite(watts):
        raise SensorError(f"{what}: {watts} isn't a power")
    if watts <= 0:
        raise SensorError(f"{what}: reads {watts:g} W: the sensor is off, or it doesn't carry the load")
    if watts > limit_w:
        raise SensorError(
            f"{what}: reads {watts:g} W, above {limit_w:g} W: the sensor is broken or its unit is another"
        )
    return watts


def _natural(name: str) -> Tuple[Tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d{1,9})", name))
