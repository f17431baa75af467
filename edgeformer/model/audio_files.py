"""preprocessor_config.json of audio models, by transformers' own feature extractors, as numbers for the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgeformer_runtime.preprocess.audio import AudioPreprocess
from edgeformer_runtime.preprocess.log_mel import LogMel

from ..errors import InputError, ModelError
from .files import read_json

CONFIG_NAME = "preprocessor_config.json"
PROCESSOR_NAME = "processor_config.json"  # where a processor was saved whole, with the extractor inside
# the extractor of a model_type, where an old file doesn't name it
EXTRACTOR_OF = {
    "audio-spectrogram-transformer": "ASTFeatureExtractor",
    "hubert": "Wav2Vec2FeatureExtractor",
    "wav2vec2": "Wav2Vec2FeatureExtractor",
    "whisper": "WhisperFeatureExtractor",
}
_NO_NUMBERS = {"feature_extractor_type", "processor_class", "transformers_version"}
_FLOAT32_EPSILON = 2.0**-23  # Kaldi's floor of a power


class _Settings:
    """The keys of a config, taken one by one; ``finish`` refuses those that nobody took."""

    def __init__(self, values: dict[str, Any], path: Path) -> None:
        self._values = {key: value for key, value in values.items() if key not in _NO_NUMBERS}
        self._path = path

    def take(self, key: str, default: Any) -> Any:
        """The value of ``key``, of the type that ``default`` has; raises ModelError for another."""
        value = self._values.pop(key, default)
        kind = type(default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ModelError(f"{self._path}: {key}: expected {kind.__name__}, got {str(value)[:60]!r}")
        return value

    def expect(self, key: str, only: int | float | bool | str, why: str) -> None:
        """Refuse another value than ``only``, which is transformers' default too."""
        value = self.take(key, only)
        if value != only:
            raise ModelError(f"{self._path}: {key}: expected {only!r}, got {value!r}: {why}")

    def finish(self, extractor: str, unused: Sequence[str]) -> None:
        """Refuse keys that nobody took, but those that the extractor doesn't use."""
        unknown = sorted(set(self._values) - set(unused))
        if unknown:
            raise ModelError(
                f"{self._path}: unknown key {', '.join(map(repr, unknown[:5]))}: what it does to the numbers of a "
                f"{extractor} isn't known. Take it out if it does nothing"
            )


def read_audio_preprocess(
    directory: Path, model_type: str | None = None, min_samples: int = 1, max_samples: int | None = None
) -> AudioPreprocess:
    """How the feature extractor saved in a model directory makes inputs of sounds.

    ``model_type`` says which extractor an old file means that doesn't name it. ``min_samples`` and ``max_samples`` are
    for waveforms, where the file doesn't say them: see ``shortest_waveform``.

    Raises:
        ModelError: the file is missing or damaged, of another extractor, or has a key or value that isn't supported.
    """
    path, values = _read(directory)
    name = values.get("feature_extractor_type") or EXTRACTOR_OF.get(model_type or "")
    if name not in _READERS:
        known = ", ".join(_READERS)
        raise ModelError(f"{path}: feature_extractor_type: expected one of {known}, got {str(name)[:80]!r}")
    read, unused = _READERS[name]
    settings = _Settings(values, path)
    try:
        preprocess = read(settings, min_samples, max_samples)
    except ModelError:
        raise
    except InputError as error:
        raise ModelError(f"{path}: {error}") from error
    settings.finish(name, unused)
    return preprocess


def shortest_waveform(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Samples from which convolutions without padding, one behind the other, make one frame: 400 for wav2vec2."""
    samples = 1
    for kernel, stride in reversed(list(zip(kernels, strides, strict=True))):
        samples = (samples - 1) * stride + kernel
    return samples


def _read(directory: Path) -> tuple[Path, dict[str, Any]]:
    path, whole = directory / CONFIG_NAME, directory / PROCESSOR_NAME
    if path.exists() or not whole.exists():
        return path, read_json(path)
    extractor = read_json(whole).get("feature_extractor")
    if not isinstance(extractor, dict):
        raise ModelError(f"{path}: not found, and {PROCESSOR_NAME} beside it has no feature_extractor")
    return whole, extractor


def _waveform(settings: _Settings, min_samples: int, max_samples: int | None) -> AudioPreprocess:
    settings.expect("feature_size", 1, "one channel is all that the model takes")
    settings.expect("padding_side", "right", "rows are padded at their end")
    return AudioPreprocess(
        rate_hz=settings.take("sampling_rate", 16000),
        mask="attention_mask" if settings.take("return_attention_mask", False) else None,
        normalize=settings.take("do_normalize", True),
        padding_value=settings.take("padding_value", 0.0),
        min_samples=min_samples,
        max_samples=max_samples,
    )


def _kaldi(settings: _Settings, min_samples: int, max_samples: int | None) -> AudioPreprocess:
    settings.expect("sampling_rate", 16000, "at others transformers' frames depend on which libraries are installed")
    mean, std = settings.take("mean", -4.2677393), settings.take("std", 4.5689974)
    normalize = settings.take("do_normalize", True)
    return AudioPreprocess(
        rate_hz=16000,
        log_mel=LogMel(
            n_fft=512,
            hop=160,
            mels=settings.take("num_mel_bins", 128),
            window_length=400,
            remove_offset=True,
            preemphasis=0.97,
            window="hann_symmetric",
            min_hz=20.0,
            max_hz=8000.0,
            mel_scale="kaldi",
            triangles_in_mel=True,
            log="natural",
            log_floor=_FLOAT32_EPSILON,
            frames=settings.take("max_length", 1024),
            mean=mean if normalize else 0.0,
            std=2.0 * std if normalize else 1.0,  # AST's own halving
        ),
    )


def _whisper(settings: _Settings, min_samples: int, max_samples: int | None) -> AudioPreprocess:
    settings.expect("dither", 0.0, "random noise gives other numbers each time")
    settings.expect("return_attention_mask", False, "a mask of spectrogram frames isn't supported")
    settings.expect("padding_side", "right", "rows are padded at their end")
    rate_hz = settings.take("sampling_rate", 16000)
    return AudioPreprocess(
        rate_hz=rate_hz,
        input="input_features",
        padding_value=settings.take("padding_value", 0.0),
        max_samples=settings.take("chunk_length", 30) * rate_hz,
        pad_to_max=True,
        log_mel=LogMel(
            n_fft=settings.take("n_fft", 400),
            hop=settings.take("hop_length", 160),
            mels=settings.take("feature_size", 80),
            reflect=True,
            max_hz=8000.0,
            mel_scale="slaney",
            area_norm=True,
            log="log10",
            log_floor=1e-10,
            drop_last_frame=True,
            range=8.0,
            mean=-4.0,  # (value + 4) / 4
            std=4.0,
            layout="mels_frames",
        ),
    )


# extractor -> (its reader, keys that its file may have and that it doesn't use, or makes again)
_READERS: dict[str, tuple[Callable[[_Settings, int, int | None], AudioPreprocess], tuple[str, ...]]] = {
    "Wav2Vec2FeatureExtractor": (_waveform, ()),
    "ASTFeatureExtractor": (
        _kaldi,
        ("feature_size", "padding_side", "padding_value", "return_attention_mask", "mel_filters", "window"),
    ),
    "WhisperFeatureExtractor": (_whisper, ("do_normalize", "mel_filters", "n_samples", "nb_max_frames")),
}
