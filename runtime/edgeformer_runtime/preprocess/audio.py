"""Sounds to input tensors: the raw waveform (wav2vec2, HuBERT) or its log-mel spectrogram (AST, Whisper)."""

from __future__ import annotations

import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ..errors import InputError, RuntimeBundleError
from ..files.typed_json import decode_part
from .audio_decode import MAX_SAMPLES, Sound, check_rate, checked_samples, decode_wav, read_wav
from .log_mel import LogMel, log_mel
from .resample import resample

KIND = "audio"
NORMALIZE_EPSILON = 1e-7  # added to the variance

AudioInput = Union[str, "os.PathLike[str]", bytes, np.ndarray, Tuple[np.ndarray, int]]


@dataclass(frozen=True)
class AudioPreprocess:
    """How sounds become input tensors; numbers of samples are at ``rate_hz``.

    With ``log_mel`` the input is float32 [batch, frames, mels], else float32 [batch, samples].
    """

    rate_hz: int
    input: str = "input_values"  # the input that is made
    mask: Optional[str] = None  # the input that says which samples are no padding: int64 [batch, samples], 1 or 0
    normalize: bool = False  # zero mean and unit variance: (x - mean) / sqrt(variance + NORMALIZE_EPSILON)
    padding_value: float = 0.0
    min_samples: int = 1  # shorter sounds are refused
    max_samples: Optional[int] = None  # longer sounds are cut at their end, and said to be
    pad_to_max: bool = False  # all are padded to max_samples, not to the longest
    log_mel: Optional[LogMel] = None

    @property
    def kind(self) -> str:
        """See ``registry``."""
        return KIND

    @property
    def files(self) -> Tuple[str, ...]:
        """Paths of the bundle that it reads: none."""
        return ()

    def in_words(self) -> str:
        """What is done to a sound, for a terminal."""
        form = "the waveform" if self.log_mel is None else f"{self.log_mel.mels} mels every {self.log_mel.hop} samples"
        normalized = ", normalized" if self.normalize else ""
        longest = "" if self.longest is None else f", cut at {self.longest / self.rate_hz:g} s"
        return f"sounds at {self.rate_hz} Hz as {form}{normalized}{longest}"

    def __post_init__(self) -> None:
        check_rate(self.rate_hz, "audio.rate_hz")
        longest = MAX_SAMPLES if self.max_samples is None else self.max_samples
        for name, right, wanted in (
            ("input", bool(self.input), "a name"),
            ("mask", self.mask is None or (bool(self.mask) and self.mask != self.input), "a name that input isn't"),
            ("max_samples", 1 <= longest <= MAX_SAMPLES, f"1 to {MAX_SAMPLES}"),
            ("min_samples", 1 <= self.min_samples <= longest, f"1 to {longest}"),
            ("padding_value", abs(self.padding_value) < np.inf, "a number"),
            ("pad_to_max", not (self.pad_to_max and self.max_samples is None), "false where max_samples is null"),
        ):
            if not right:
                raise InputError(f"audio.{name}: expected {wanted}, got {getattr(self, name)!r}")
        if self.log_mel is not None:
            self._check_log_mel(self.log_mel)

    def _check_log_mel(self, settings: LogMel) -> None:
        if self.normalize or self.mask is not None:
            raise InputError("audio: expected normalize or mask, which are a waveform's, or log_mel, got both")
        if settings.max_hz > self.rate_hz / 2:
            raise InputError(
                f"audio.log_mel.max_hz: expected at most half of rate_hz, {self.rate_hz / 2:g}, got {settings.max_hz:g}"
            )
        if self.max_samples is not None and self.max_samples < settings.shortest:
            raise InputError(
                f"audio.max_samples: expected at least one frame, {settings.shortest}, got {self.max_samples}"
            )
        if settings.frames is not None and self.pad_to_max:
            raise InputError("audio: expected log_mel.frames or pad_to_max, got both: they fill up in different places")

    @property
    def shortest(self) -> int:
        """Samples that a sound needs at least."""
        if self.log_mel is None or self.pad_to_max:
            return self.min_samples
        return max(self.min_samples, self.log_mel.shortest)

    @property
    def longest(self) -> Optional[int]:
        """Samples of a sound that are looked at; None: all."""
        limits = [self.max_samples, None if self.log_mel is None else self.log_mel.longest]
        return min((limit for limit in limits if limit is not None), default=None)


def audio_to_dict(preprocess: AudioPreprocess) -> Dict[str, Any]:
    """JSON data of ``preprocess``: its fields, and ``kind``."""
    return {"kind": KIND, **asdict(preprocess)}


def audio_from_dict(value: Any, where: str = "manifest.json: preprocess") -> AudioPreprocess:
    """The inverse of ``audio_to_dict``; raises RuntimeBundleError naming the place and what was expected there;
    UnknownPartError for a key that is none of its own.
    """
    if not isinstance(value, dict) or value.get("kind") != KIND:
        got = value.get("kind") if isinstance(value, dict) else type(value).__name__
        raise RuntimeBundleError(f"{where}: expected an object of kind {KIND!r}, got {str(got)[:80]!r}")
    return decode_part(AudioPreprocess, {key: item for key, item in value.items() if key != "kind"}, where)


@dataclass(frozen=True)
class EncodedAudio:
    """A batch, ready to run: ``feeds`` as ``AudioPreprocess`` describes them.

    Per row: ``samples``, without padding, and ``truncated``: whether the sound was longer. ``notes``: what was done
    to the sounds before, a sentence each: resampled, channels averaged, cut; and silence.
    """

    feeds: Dict[str, np.ndarray]
    samples: Tuple[int, ...]
    truncated: Tuple[bool, ...]
    notes: Tuple[str, ...]


class AudioEncoder:
    """Makes a model's inputs of sounds: paths of WAV files, their bytes, arrays, or (array, rate in Hz).

    An array is float [samples] of about ±1; without a rate it is taken to have the model's. Sounds of another rate are
    resampled (see ``resample``), several channels of a file averaged, and sounds that are too long cut; each is noted.
    Silence is no error: it is noted, and gives zeros where the waveform is normalized.

    Rows are padded at their end with ``padding_value``, to the longest. With a mask each row is normalized over its own
    samples and padded after. Without one (wav2vec2-base and others with group norm, which were trained so) it is padded
    first and normalized with its padding, so that a row's numbers depend on the longest of its batch, as they do in
    transformers; encode row by row where they mustn't. Spectrograms with ``log_mel.frames`` are made of each sound
    alone and filled up with frames of 0 before mean and std; others of the padded rows.
    """

    def __init__(self, preprocess: AudioPreprocess) -> None:
        self._preprocess = preprocess

    def __call__(self, sounds: Sequence[AudioInput]) -> Dict[str, np.ndarray]:
        """The feeds of ``encode``; its notes become warnings."""
        encoded = self.encode(sounds)
        for note in encoded.notes:
            warnings.warn(note, stacklevel=2)
        return encoded.feeds

    def encode(self, sounds: Sequence[AudioInput], pad_to: Optional[int] = None) -> EncodedAudio:
        """The batch of ``sounds``; ``pad_to``: pad to so many samples instead, and cut longer sounds to them.

        Raises:
            InputError: no sounds, one of a kind that isn't read, damaged, too short or with samples that aren't
                finite: it names the path, or the place in the list.
        """
        if not isinstance(sounds, (list, tuple)) or not sounds:
            raise InputError(f"sounds: expected a list of at least one, got {_described(sounds)}")
        if pad_to is not None and not self._preprocess.shortest <= pad_to <= MAX_SAMPLES:
            raise InputError(f"pad_to: expected {self._preprocess.shortest} to {MAX_SAMPLES} samples, got {pad_to}")
        read = [_read(sound, index, self._preprocess.rate_hz) for index, sound in enumerate(sounds)]
        limits = [limit for limit in (pad_to, self._preprocess.longest) if limit is not None]
        notes = [note for sound in read for note in sound.notes]
        rows: List[np.ndarray] = []
        truncated: List[bool] = []
        for sound in read:
            row, was_cut = self._fit(sound, min(limits, default=None), notes)
            rows.append(row)
            truncated.append(was_cut)
        return EncodedAudio(self._feeds(rows, pad_to), tuple(map(len, rows)), tuple(truncated), tuple(notes))

    def _fit(self, sound: Sound, limit: Optional[int], notes: List[str]) -> Tuple[np.ndarray, bool]:
        """(float32 [samples] at the model's rate, at most ``limit``, whether it was cut); adds to ``notes``."""
        rate = self._preprocess.rate_hz
        row, count = sound.samples, len(sound.samples)
        if float(row.max()) == float(row.min()):
            notes.append(f"{sound.name}: is silence: all its samples are {float(row[0]):g}")
        if sound.rate_hz != rate:
            notes.append(f"{sound.name}: was resampled from {sound.rate_hz} Hz to {rate} Hz")
            count = -(-count * rate // sound.rate_hz)
            if limit is None and count > MAX_SAMPLES:
                raise InputError(f"{sound.name}: has {count} samples at {rate} Hz: expected at most {MAX_SAMPLES}")
            row = resample(row, sound.rate_hz, rate, limit).astype(np.float32)
        if count < self._preprocess.shortest:
            raise InputError(
                f"{sound.name}: has {count} samples at {rate} Hz: the model takes at least {self._preprocess.shortest}"
            )
        if limit is None or count <= limit:
            return row, False
        notes.append(f"{sound.name}: was cut from {count / rate:.2f} s to {limit / rate:.2f} s")
        return row[:limit], True

    def _feeds(self, rows: List[np.ndarray], pad_to: Optional[int]) -> Dict[str, np.ndarray]:
        settings = self._preprocess
        if settings.log_mel is not None and settings.log_mel.frames is not None:
            spectra = [log_mel(row, settings.rate_hz, settings.log_mel) for row in rows]
            return {settings.input: np.stack(spectra).astype(np.float32)}
        if pad_to is None:
            pad_to = settings.max_samples if settings.pad_to_max else max(map(len, rows))
        padded = np.full((len(rows), pad_to or 0), settings.padding_value)
        for place, row in zip(padded, rows):
            place[: len(row)] = row
        if settings.log_mel is not None:
            spectra = [log_mel(row, settings.rate_hz, settings.log_mel) for row in padded]
            return {settings.input: np.stack(spectra).astype(np.float32)}
        if settings.normalize:
            for place, row in zip(padded, rows):
                own = place if settings.mask is None else place[: len(row)]
                own[:] = (own - own.mean()) / np.sqrt(own.var() + NORMALIZE_EPSILON)
        feeds = {settings.input: padded.astype(np.float32)}
        if settings.mask is not None:
            lengths = np.array([len(row) for row in rows])
            feeds[settings.mask] = (np.arange(padded.shape[1]) < lengths[:, None]).astype(np.int64)
        return feeds


def _read(sound: Any, index: int, rate_hz: int) -> Sound:
    """The sound at ``index`` of a list; arrays without a rate have ``rate_hz``."""
    name = f"sound {index}"
    if isinstance(sound, (str, os.PathLike)):
        return read_wav(Path(os.fsdecode(sound)))
    if isinstance(sound, (bytes, bytearray, memoryview)):
        return decode_wav(bytes(sound), name)
    if isinstance(sound, tuple) and len(sound) == 2 and isinstance(sound[1], (int, np.integer)):
        sound, rate_hz = sound[0], int(sound[1])
        check_rate(rate_hz, name)
    if not isinstance(sound, np.ndarray):
        raise InputError(
            f"{name}: expected a path, the bytes of a WAV file, an array or (array, rate), got {_described(sound)}"
        )
    if sound.dtype.kind != "f":
        raise InputError(f"{name}: expected floats of about ±1, got {sound.dtype}: divide 16-bit samples by 32768")
    if sound.ndim != 1:
        raise InputError(
            f"{name}: expected an array [samples], got the shape {list(sound.shape)}: average its channels"
        )
    return Sound(name, checked_samples(sound, name), rate_hz)


def _described(value: Any) -> str:
    return f"{type(value).__name__} {repr(value)[:60]}"
