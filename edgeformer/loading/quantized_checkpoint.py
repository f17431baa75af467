"""Checkpoints that are quantized already: their integers aren't ours, so they are refused by the method's name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..model.files import read_json
from .weight_files import StoredTensor

_OTHER_FILES = ("quantize_config.json", "quant_config.json")  # AutoGPTQ's and AutoAWQ's own, before config.json had it
_TITLES = {
    "awq": "AWQ", "bitsandbytes": "bitsandbytes", "compressed-tensors": "compressed-tensors", "fp8": "fp8",
    "gptq": "GPTQ", "hqq": "HQQ", "quanto": "Quanto", "torchao": "torchao",
}  # fmt: skip
_INTEGER_WEIGHTS = {"I8", "U8", "I16", "U16", "I32", "U32", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2"}
# of GPTQ and AWQ, bitsandbytes, compressed-tensors, torchao and Quanto
_QUANTIZERS_NAMES = (
    ".qweight",
    ".SCB",
    ".weight_packed",
    ".weight.absmax",
    ".weight_scale",
    ".weight._data",
    ".weight_qdata",
)
_ADVICE = (
    "edgeformer chooses its integers from the trained weights: give the model that this was made from, in float32, "
    "bfloat16 or float16"
)


def refuse_quantized(path: Path, config: Mapping[str, Any]) -> None:
    """Raise ModelError naming the method, where config.json or a file beside it tells of one."""
    method = _method(path, config)
    if method is not None:
        raise ModelError(f"model {path}: its weights are quantized already, by {method}. {_ADVICE}")


def refuse_integer_weights(path: Path, tensors: Mapping[str, StoredTensor]) -> None:
    """Raise ModelError for weights of types or names that only quantizers write, whatever config.json says."""
    for name, tensor in tensors.items():
        whole = name.endswith(".weight") and tensor.dtype in _INTEGER_WEIGHTS
        if whole or name.endswith(_QUANTIZERS_NAMES):
            raise ModelError(
                f"model {path}: the file holds {name} ({tensor.dtype}), so the weights are quantized already, though "
                f"config.json names no method (quantization_config). {_ADVICE}"
            )


def _method(path: Path, config: Mapping[str, Any]) -> str | None:
    for key in ("quantization_config", "compression_config"):
        settings = config.get(key)
        if settings:
            return _describe(settings if isinstance(settings, Mapping) else {}, "config.json")
    for name in _OTHER_FILES:
        if (path / name).is_file():
            return _describe(
                {"quant_method": "awq" if name == "quant_config.json" else "gptq", **read_json(path / name)}, name
            )
    return None


def _describe(settings: Mapping[str, Any], file: str) -> str:
    """ "bitsandbytes, 4 bits (quantization_config in config.json)"."""
    method = str(settings.get("quant_method") or settings.get("quant_type") or "")
    if not method and (settings.get("load_in_8bit") or settings.get("load_in_4bit")):
        method = "bitsandbytes"
    bits = settings.get("bits") or settings.get("w_bit") or settings.get("weight_bits") or settings.get("nbits")
    if bits is None:
        bits = 4 if settings.get("load_in_4bit") else 8 if settings.get("load_in_8bit") else None
    where = "quantization_config in config.json" if file == "config.json" else file
    title = _TITLES.get(method.lower(), method) or "a method that it doesn't name"
    return f"{title}{f', {bits} bits' if bits else ''} ({where})"
