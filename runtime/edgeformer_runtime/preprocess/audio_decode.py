"""WAV files to samples: one channel of float32, and what was done on the way.

A reader of RIFF of its own, since the standard library's ``wave`` refuses floats (and, before Python 3.12, the
extensible header), and returns what a cut file still holds without a word.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, NoReturn, Tuple

import numpy as np

from ..errors import InputError

MIN_RATE_HZ = 1_000
MAX_RATE_HZ = 192_000
MAX_CHANNELS = 64
MAX_SAMPLES = 1 << 26  # of all channels together: 69 minutes of one channel at 16 kHz, 11 of two at 48 kHz
MAX_AMPLITUDE = 1_000.0  # samples are about ±1; far beyond they are 16-bit integers that nobody divided by 32768
_MAX_FILE_BYTES = MAX_SAMPLES * 8 + (1 << 20)
_MAX_CHUNKS = 1_000

_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
# behind the first two bytes of the format's GUID in an extensible header
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_UNKNOWN_SIZE = 0xFFFFFFFF  # what a program that writes to a pipe says: the data reach to the end of the file
# (tag, bits) -> (numpy's type of a sample, what is silence, what is 1.0); 24 bits are read as the upper ones of 32
_ENCODINGS: Dict[Tuple[int, int], Tuple[str, float, float]] = {
    (_PCM, 8): ("u1", 128.0, 128.0),
    (_PCM, 16): ("<i2", 0.0, float(1 << 15)),
    (_PCM, 24): ("<i4", 0.0, float(1 << 31)),
    (_PCM, 32): ("<i4", 0.0, float(1 << 31)),
    (_FLOAT, 32): ("<f4", 0.0, 1.0),
    (_FLOAT, 64): ("<f8", 0.0, 1.0),
}
_OTHERS = {b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3": "MP3", b"\xff\xfb": "MP3", b"RF64": "RF64", b"RIFX": "RIFX"}
_CONVERT = "convert it, for example with `ffmpeg -i IN -ac 1 -c:a pcm_s16le OUT.wav`"


@dataclass(frozen=True)
class Sound:
    """``samples``: float32 [samples], finite, about ±1; ``notes``: what was done to them, a sentence each."""

    name: str
    samples: np.ndarray
    rate_hz: int
    notes: Tuple[str, ...] = ()


@dataclass(frozen=True)
class _Header:
    tag: int
    channels: int
    rate_hz: int
    bits: int


def read_wav(path: Path) -> Sound:
    """The sound of a WAV file; raises InputError naming it. See ``decode_wav``."""
    try:
        if not path.is_file():
            raise InputError(f"{path}: expected a WAV file, got {'a directory' if path.is_dir() else 'nothing there'}")
        size = path.stat().st_size
        if size > _MAX_FILE_BYTES:
            raise InputError(f"{path}: has {size} bytes: expected at most {_MAX_FILE_BYTES}: cut it into pieces")
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise InputError(f"{str(path)!r}: can't be read ({error})") from error
    return decode_wav(content, str(path))


def decode_wav(content: bytes, name: str) -> Sound:
    """The sound of a WAV file's bytes: PCM of 8, 16, 24 or 32 bits or floats of 32 or 64, plain or extensible.

    Integers are divided by 2^(bits - 1), after 128 is taken off unsigned 8-bit ones. Channels are averaged in float64
    and rounded to float32.

    Raises:
        InputError: it is no WAV file, cut off, damaged, empty, in an encoding that isn't read, beyond MAX_SAMPLES,
            MAX_CHANNELS or the rates MIN_RATE_HZ to MAX_RATE_HZ, or has samples that aren't finite.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        other = next((kind for head, kind in _OTHERS.items() if content.startswith(head)), None)
        got = "no bytes" if not content else f"{content[:12]!r}" + (f", which is {other}" if other else "")
        raise InputError(f"{name}: expected a WAV file (RIFF…WAVE), got {got}: {_CONVERT}")
    header = None
    for kind, chunk, said in _chunks(content, name):
        if kind == b"fmt ":
            header = _read_header(chunk, name)
        elif kind == b"data":
            if header is None:
                _damaged(name, "its samples come before its header")
            if said != _UNKNOWN_SIZE and said > len(chunk):
                _damaged(name, f"it is cut off: it says {said} bytes of samples and holds {len(chunk)}")
            return _decode(chunk, header, name)
    return _damaged(name, "it has no samples (no 'data' chunk)" if header else "it has no header (no 'fmt ' chunk)")


def checked_samples(samples: np.ndarray, name: str) -> np.ndarray:
    """float [samples] as float32; raises InputError for none, for NaN and infinity, and beyond ±MAX_AMPLITUDE."""
    if len(samples) == 0:
        raise InputError(f"{name}: is empty: expected at least one sample")
    if len(samples) > MAX_SAMPLES:
        raise InputError(f"{name}: has {len(samples)} samples: expected at most {MAX_SAMPLES}: cut it into pieces")
    finite = np.isfinite(samples)
    if not finite.all():
        wrong = len(samples) - int(np.count_nonzero(finite))
        raise InputError(
            f"{name}: {wrong} of {len(samples)} samples are NaN or infinite, the first is number "
            f"{int(np.argmin(finite))}: record or convert it again"
        )
    peak = float(np.abs(samples).max())
    if peak > MAX_AMPLITUDE:
        raise InputError(
            f"{name}: samples reach {peak:g}: expected about ±1, at most {MAX_AMPLITUDE:g}: divide 16-bit samples by "
            "32768"
        )
    return np.asarray(samples, dtype=np.float32)


def check_rate(rate_hz: int, name: str) -> None:
    """Raise InputError for a rate that isn't resampled from or to."""
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise InputError(f"{name}: a rate of {rate_hz} Hz: expected {MIN_RATE_HZ} to {MAX_RATE_HZ}")


def _chunks(content: bytes, name: str) -> Iterator[Tuple[bytes, bytes, int]]:
    """(identifier, what is there of its content, the size that it says)."""
    place = 12
    for _ in range(_MAX_CHUNKS):
        if place + 8 > len(content):
            return
        kind, size = struct.unpack_from("<4sI", content, place)
        yield kind, content[place + 8 : place + 8 + size], size
        place += 8 + size + size % 2
    _damaged(name, f"it has more than {_MAX_CHUNKS} chunks")


def _read_header(chunk: bytes, name: str) -> _Header:
    if len(chunk) < 16:
        _damaged(name, f"its header has {len(chunk)} bytes: expected at least 16")
    tag, channels, rate_hz, _, block, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE:
        if len(chunk) < 40:
            _damaged(name, f"its extensible header has {len(chunk)} bytes: expected 40")
        known = chunk[26:40] == _GUID_TAIL
        tag = struct.unpack_from("<H", chunk, 24)[0] if known else _EXTENSIBLE
    if (tag, bits) not in _ENCODINGS:
        raise InputError(
            f"{name}: encoding 0x{tag:04x} of {bits} bits: expected PCM of 8, 16, 24 or 32 bits, or floats of 32 or "
            f"64: {_CONVERT}"
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise InputError(f"{name}: {channels} channels: expected 1 to {MAX_CHANNELS}")
    if block != channels * bits // 8:
        _damaged(name, f"its header says {block} bytes for {channels} channels of {bits} bits")
    check_rate(rate_hz, name)
    return _Header(tag, channels, rate_hz, bits)


def _decode(data: bytes, header: _Header, name: str) -> Sound:
    width = header.bits // 8
    if len(data) % (width * header.channels):
        _damaged(name, f"its {len(data)} bytes of samples end within a sample")
    if len(data) // width > MAX_SAMPLES:
        raise InputError(
            f"{name}: has {len(data) // width} samples in all channels: expected at most {MAX_SAMPLES}: cut it into "
            "pieces"
        )
    kind, zero, one = _ENCODINGS[(header.tag, header.bits)]
    if width == 3:
        padded = np.zeros((len(data) // 3, 4), dtype=np.uint8)
        padded[:, 1:] = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
        values = padded.reshape(-1).view(kind)
    else:
        values = np.frombuffer(data, dtype=kind)
    with np.errstate(all="ignore"):  # infinities of a float file: named below
        mono = (values.reshape(-1, header.channels).mean(axis=1, dtype=np.float64) - zero) / one
    notes = (f"{name}: {header.channels} channels were averaged into one",) if header.channels > 1 else ()
    return Sound(name, checked_samples(mono, name), header.rate_hz, notes)


def _damaged(name: str, what: str) -> NoReturn:
    raise InputError(f"{name}: is a damaged WAV file: {what}: record or convert it again")
