"""Log-mel spectrograms in numpy, float64 inside: Kaldi's as AST takes them, and Whisper's, by the same few steps.

Mel scales: HTK, 2595 log10(1 + f/700) (O'Shaughnessy, Speech Communication, 1987); Kaldi, 1127 ln(1 + f/700); Slaney,
linear below 1000 Hz and logarithmic above (Auditory Toolbox, Interval Research report 1998-010).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Optional

import numpy as np

from ..errors import InputError

MEL_SCALES = ("htk", "kaldi", "slaney")
WINDOWS = ("hann", "hann_symmetric")
LOGS = ("natural", "log10")
LAYOUTS = ("frames_mels", "mels_frames")
MAX_FFT = 1 << 14
MAX_MELS = 1 << 10
MAX_VALUES = 1 << 26  # of one spectrogram: 87 minutes of 128 mels every 10 ms
_SLANEY_BREAK_HZ = 1000.0
_SLANEY_BREAK_MEL = 15.0  # 3/200 mel a hertz below it
_SLANEY_STEP = np.log(6.4) / 27.0  # above it: 27 mels are a factor 6.4
_BLOCK = 1024  # frames at a time: 4 MB of float64 where a frame has 512


@dataclass(frozen=True)
class LogMel:
    """From samples to [frames, mels], in the order of the fields. Numbers of samples, unless they say otherwise."""

    n_fft: int  # even; a frame is filled up with zeros behind its window_length samples
    hop: int
    mels: int
    window_length: Optional[int] = None  # samples of a frame; None: n_fft
    reflect: bool = False  # window_length // 2 mirrored samples on each side, so that frames are centred
    remove_offset: bool = False  # each frame's mean is taken off
    preemphasis: float = 0.0  # x[i] - preemphasis x[i-1] within a frame, x[0] standing before itself
    window: str = "hann"  # one of WINDOWS: 1/2 - 1/2 cos(2 pi i / N), N = window_length, or one less
    min_hz: float = 0.0
    max_hz: float = 8000.0
    mel_scale: str = "slaney"  # one of MEL_SCALES
    triangles_in_mel: bool = False  # filters are triangles over mel, not over hertz
    area_norm: bool = False  # filters are divided by half their width in hertz (Slaney)
    log: str = "natural"  # one of LOGS
    log_floor: float = 1e-10  # smaller powers are this before the logarithm
    drop_last_frame: bool = False
    range: Optional[float] = None  # values more than this below the largest are raised to it
    frames: Optional[int] = None  # more are cut, fewer filled up with zeros
    mean: float = 0.0
    std: float = 1.0  # in the end (value - mean) / std
    layout: str = "frames_mels"  # one of LAYOUTS: the last two dimensions of the input

    def __post_init__(self) -> None:
        length = self.frame_length
        for name, value, low, high in (
            ("n_fft", self.n_fft, 2, MAX_FFT),
            ("window_length", length, 2, self.n_fft),
            ("hop", self.hop, 1, MAX_FFT),
            ("mels", self.mels, 1, MAX_MELS),
            ("frames", 1 if self.frames is None else self.frames, 1, MAX_VALUES // max(self.mels, 1)),
        ):
            if not low <= value <= high:
                raise InputError(f"log_mel.{name}: expected {low} to {high}, got {value}")
        for name, text, choices in (
            ("window", self.window, WINDOWS),
            ("mel_scale", self.mel_scale, MEL_SCALES),
            ("log", self.log, LOGS),
            ("layout", self.layout, LAYOUTS),
        ):
            if text not in choices:
                raise InputError(f"log_mel.{name}: expected one of {', '.join(choices)}, got {text!r}")
        for name, right, wanted in (
            ("n_fft", self.n_fft % 2 == 0, "an even number"),
            ("preemphasis", 0 <= self.preemphasis <= 1, "0 to 1"),
            ("min_hz", 0 <= self.min_hz < self.max_hz, "at least 0 and less than max_hz"),
            ("log_floor", 0 < self.log_floor < np.inf, "a positive number"),
            ("range", self.range is None or 0 < self.range < np.inf, "a positive number"),
            ("mean", np.isfinite(self.mean), "a number"),
            ("std", 0 < self.std < np.inf, "a positive number"),
        ):
            if not right:
                raise InputError(f"log_mel.{name}: expected {wanted}, got {getattr(self, name)}")

    @property
    def frame_length(self) -> int:
        """Samples of a frame."""
        return self.n_fft if self.window_length is None else self.window_length

    @property
    def shortest(self) -> int:
        """Samples that a sound needs at least."""
        length = self.frame_length
        mirrored = length // 2 if self.reflect else 0
        return max(mirrored + 1, length - 2 * mirrored + self.drop_last_frame * self.hop)

    @property
    def longest(self) -> Optional[int]:
        """Samples that are looked at, where the number of frames is limited and frames aren't centred."""
        if self.frames is None or self.reflect:
            return None
        return (self.frames - 1 + self.drop_last_frame) * self.hop + self.frame_length


def log_mel(samples: np.ndarray, rate_hz: int, settings: LogMel) -> np.ndarray:
    """float [samples] to float64 [frames, mels], or [mels, frames] where the layout says so.

    Raises InputError for fewer samples than ``settings.shortest``.
    """
    if len(samples) < settings.shortest:
        raise InputError(f"has {len(samples)} samples at {rate_hz} Hz: expected at least {settings.shortest}")
    x = np.asarray(samples, dtype=np.float64)
    if settings.reflect:
        x = np.pad(x, settings.frame_length // 2, mode="reflect")
    count = 1 + (len(x) - settings.frame_length) // settings.hop - settings.drop_last_frame
    count = count if settings.frames is None else min(count, settings.frames)
    if count * settings.mels > MAX_VALUES:
        raise InputError(f"gives {count} frames of {settings.mels} mels: expected at most {MAX_VALUES} values: cut it")
    filters = mel_filters(
        settings.n_fft // 2 + 1,
        settings.mels,
        settings.min_hz,
        settings.max_hz,
        rate_hz,
        settings.mel_scale,
        settings.triangles_in_mel,
        settings.area_norm,
    )
    values = np.empty((count, settings.mels))
    for start in range(0, count, _BLOCK):
        starts = np.arange(start, min(start + _BLOCK, count)) * settings.hop
        values[start : start + _BLOCK] = _powers(x, starts, settings) @ filters
    values = np.maximum(values, settings.log_floor)
    values = np.log(values) if settings.log == "natural" else np.log10(values)
    if settings.range is not None:
        values = np.maximum(values, values.max() - settings.range)
    if settings.frames is not None:
        values = np.pad(values, ((0, settings.frames - len(values)), (0, 0)))
    values = (values - settings.mean) / settings.std
    return values if settings.layout == "frames_mels" else values.T


def _powers(x: np.ndarray, starts: np.ndarray, settings: LogMel) -> np.ndarray:
    """float64 [frames, n_fft // 2 + 1]: the squared spectrum of the frames that begin at ``starts``."""
    frames = x[starts[:, None] + np.arange(settings.frame_length)]
    if settings.remove_offset:
        frames = frames - frames.mean(axis=1, keepdims=True)
    if settings.preemphasis:
        before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        frames = frames - settings.preemphasis * before
    spectrum = np.fft.rfft(frames * hann(settings.frame_length, settings.window), n=settings.n_fft)
    powers: np.ndarray = spectrum.real**2 + spectrum.imag**2
    return powers


def hann(length: int, kind: str = "hann") -> np.ndarray:
    """float64 [length]: von Hann's window; "hann" has the period ``length``, "hann_symmetric" ends on 0."""
    period = length if kind == "hann" else length - 1
    window: np.ndarray = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / period)
    return window


@lru_cache(maxsize=8)
def mel_filters(
    bins: int,
    mels: int,
    min_hz: float,
    max_hz: float,
    rate_hz: int,
    mel_scale: str,
    triangles_in_mel: bool = False,
    area_norm: bool = False,
) -> np.ndarray:
    """float64 [bins, mels], read-only: triangle m rises from point m to m + 1 and falls to m + 2.

    The mels + 2 points divide min_hz to max_hz equally in mel. Bin b stands at b (rate_hz // 2) / (bins - 1) hertz, and
    for triangles in mel at the mel of b rate_hz / (2 (bins - 1)).
    """
    points = np.linspace(_mel(min_hz, mel_scale), _mel(max_hz, mel_scale), mels + 2)
    points_hz = mel_to_hz(points, mel_scale)
    if triangles_in_mel:
        places = hz_to_mel(np.arange(bins) * (rate_hz / ((bins - 1) * 2)), mel_scale)
    else:
        points = points_hz
        places = np.linspace(0, rate_hz // 2, bins)
    rising = (places[:, None] - points[:-2]) / (points[1:-1] - points[:-2])
    falling = (points[2:] - places[:, None]) / (points[2:] - points[1:-1])
    filters: np.ndarray = np.maximum(0.0, np.minimum(rising, falling))
    if area_norm:
        filters *= 2.0 / (points_hz[2:] - points_hz[:-2])
    filters.setflags(write=False)
    return filters


def hz_to_mel(hz: np.ndarray, scale: str) -> np.ndarray:
    """Mels of frequencies, by one of MEL_SCALES."""
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    if scale == "kaldi":
        return np.asarray(1127.0 * np.log(1.0 + hz / 700.0))
    above = _SLANEY_BREAK_MEL + np.log(np.maximum(hz, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_STEP
    return np.where(hz >= _SLANEY_BREAK_HZ, above, 3.0 * hz / 200.0)


def mel_to_hz(mel: np.ndarray, scale: str) -> np.ndarray:
    """The inverse of ``hz_to_mel``."""
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    if scale == "kaldi":
        return np.asarray(700.0 * (np.exp(mel / 1127.0) - 1.0))
    above = _SLANEY_BREAK_HZ * np.exp(_SLANEY_STEP * (np.maximum(mel, _SLANEY_BREAK_MEL) - _SLANEY_BREAK_MEL))
    return np.where(mel >= _SLANEY_BREAK_MEL, above, 200.0 * mel / 3.0)


def _mel(hz: float, scale: str) -> float:
    return float(hz_to_mel(np.asarray(hz), scale))
