"""The input of a model of sounds, by preprocessor_config.json."""

from __future__ import annotations

from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.preprocess.audio import AudioPreprocess

from ..errors import ModelError
from ..model.audio_files import read_audio_preprocess
from .sources import Files


def audio_input(files: Files, name: str) -> tuple[AudioPreprocess, None, TensorSpec]:
    """How sounds become a spectrogram, and the input float32 [batch, frames, mels].

    Raises:
        ModelError: no feature extractor, or one of waveforms: their length varies, and padding changes what most such
            models say, so they aren't compiled yet.
    """
    preprocess = read_audio_preprocess(files.path, str(files.config.get("model_type", "")))
    mel = preprocess.log_mel
    if mel is None or mel.frames is None:
        raise ModelError(
            f"model {name}: reads waveforms or spectrograms of any length, which aren't compiled from a directory yet: "
            "expected a fixed number of frames, as AST has. Load it yourself and compile it with edgeformer.from_module"
        )
    return preprocess, None, TensorSpec(preprocess.input, "float32", ("batch", mel.frames, mel.mels), role="features")
