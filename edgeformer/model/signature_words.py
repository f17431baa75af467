"""A signature and its preprocessing in words, a line each."""

from __future__ import annotations

from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.preprocess.audio import AudioPreprocess
from edgeformer_runtime.preprocess.image_preprocess import ImagePreprocess

from .signature import Signature, TextInput


def signature_lines(signature: Signature) -> list[str]:
    """What goes in and comes out, then how a text, a picture or a sound becomes that."""
    lines = [
        f"in: {'; '.join(map(_tensor, signature.inputs))}",
        f"out: {'; '.join(map(_tensor, signature.outputs))}",
    ]
    how = signature.preprocess
    if isinstance(how, TextInput):
        lines.append(_text(how))
    elif isinstance(how, ImagePreprocess):
        lines.append(_image(how))
    elif isinstance(how, AudioPreprocess):
        lines.append(_audio(how))
    return lines


def _tensor(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype} [{', '.join(map(str, spec.shape))}]"


def _text(how: TextInput) -> str:
    parts = ["texts, or pairs of texts" if how.pairs else "texts", "tokenized by tokenizer.json"]
    if how.max_length is not None:
        parts.append(f"cut on the {how.truncation} to {how.max_length} tokens")
    if how.prompts:
        parts.append(f"prompts {', '.join(how.prompts)}")
    return f"reads: {', '.join(parts)}"


def _image(how: ImagePreprocess) -> str:
    parts = [f"pictures as {how.color}"]
    if how.resize is not None:
        size = "x".join(map(str, how.resize.size))
        side = "its shortest side resized" if how.resize.mode == "shortest" else "resized"
        parts.append(f"{side} to {size} ({how.resize.filter})")
    if how.crop is not None:
        parts.append(f"the middle {'x'.join(map(str, how.crop))} cut out")
    parts.append(f"values times {how.rescale:.6g}, less {_numbers(how.mean)}, by {_numbers(how.std)}")
    return f"reads: {', '.join(parts)}"


def _audio(how: AudioPreprocess) -> str:
    parts = [f"sounds at {how.rate_hz} Hz", "as their waveform" if how.log_mel is None else "as log-mel frames"]
    if how.normalize:
        parts.append("normalized to mean 0 and variance 1")
    if how.longest is not None:
        parts.append(f"cut to {how.longest / how.rate_hz:.2f} s")
    return f"reads: {', '.join(parts)}"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in dict.fromkeys(values)) if len(set(values)) == 1 else str(list(values))
