"""Reading an adapter: the directory that peft's ``save_pretrained`` writes, checked before its use.

A directory holds ``adapter_config.json`` and ``adapter_model.safetensors``. Every tensor whose part in the merge
isn't understood is refused by name. What needs the base model to be judged (shapes, which layers are targeted) is
checked in ``fit.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import AdapterError
from .adalora import as_lora_tensors
from .adapter import Adapter, LowRankUpdate, SavedKind, SavedTensor, TokenRows
from .config import PREFIX, LoraConfig, adapters_inside, read_config
from .tensor_names import plain_names

WEIGHTS_FILE = "adapter_model.safetensors"
PICKLE_FILE = "adapter_model.bin"

_FACTOR_NAMES = {  # suffix of a tensor's name -> (part, is it an embedding's)
    ".lora_A.weight": ("a", False),
    ".lora_B.weight": ("b", False),
    ".lora_B.bias": ("bias", False),
    ".lora_embedding_A": ("a", True),
    ".lora_embedding_B": ("b", True),
    ".lora_magnitude_vector": ("magnitude", False),
    ".lora_magnitude_vector.weight": ("magnitude", False),
}

_TOKEN_ROWS = ".token_adapter.trainable_tokens_delta"


def read_adapter(path: Path, *, weight: float = 1.0, allow_pickle: bool = False) -> Adapter:
    """Read and check the adapter directory ``path``.

    ``allow_pickle`` permits adapter_model.bin, read with ``torch.load(weights_only=True)``, where there is no
    safetensors file. Raises AdapterError for missing, damaged or unsupported files.
    """
    path = Path(path)
    config = read_config(path)
    tensors = _read_tensors(path, allow_pickle=allow_pickle)
    name = path.resolve().name
    others = adapters_inside(path)
    try:
        names, notes = plain_names(tensors)
        if config.adaptive:
            names = as_lora_tensors(names, config.r)
        if others:
            notes += (f"also holds the adapters {', '.join(others)}, which are not used",)
        return _sort_tensors(Adapter(name, path, config, {}, {}, weight, notes), names)
    except AdapterError as error:
        raise AdapterError(f"adapter {path}: {error}") from error


def _read_tensors(path: Path, *, allow_pickle: bool) -> dict[str, torch.Tensor]:
    file = path / WEIGHTS_FILE
    if file.is_file():
        try:
            return load_file(file)
        except (SafetensorError, OSError) as error:
            raise AdapterError(f"{file}: damaged or truncated: {error}; copy or save it again") from error
    file = path / PICKLE_FILE
    if not file.is_file():
        raise AdapterError(f"adapter {path}: holds no {WEIGHTS_FILE}: save it with peft's save_pretrained")
    if not allow_pickle:
        raise AdapterError(
            f"{file}: a pickle can run code when it is read: save the adapter as {WEIGHTS_FILE}, "
            "or allow pickles if you trust its origin"
        )
    return _read_pickle(file)


def _read_pickle(file: Path) -> dict[str, torch.Tensor]:
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises its own, pickle's, zipfile's and OSError for damaged files
        raise AdapterError(f"{file}: can't be read as tensors alone: {error}") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise AdapterError(f"{file}: expected a dictionary of tensors")
    return tensors


def _sort_tensors(empty: Adapter, tensors: Mapping[str, torch.Tensor]) -> Adapter:
    """``empty`` with every tensor, by its name in the base model, given its part; one that has none is refused."""
    config = empty.config
    factors: dict[str, dict[str, torch.Tensor]] = {}
    saved: dict[str, SavedTensor] = {}
    tokens: dict[str, TokenRows] = {}
    copies: list[str] = []
    embeddings: set[str] = set()
    for name in sorted(tensors):
        tensor = tensors[name]
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise AdapterError(f"tensor {name!r} holds NaN or infinity: the training diverged, or the file is damaged")
        if tensor.numel() == 0:
            raise AdapterError(
                f"tensor {name!r} is empty: training was spread over machines (DeepSpeed ZeRO-3, FSDP) and its parts "
                "weren't gathered before saving: save it again from the gathered weights"
            )
        suffix = next((end for end in _FACTOR_NAMES if name.endswith(end)), None)
        if suffix is not None:
            part, embedding = _FACTOR_NAMES[suffix]
            layer = name.removesuffix(suffix)
            factors.setdefault(layer, {})[part] = tensor
            embeddings |= {layer} if embedding else set()
        elif name.endswith(_TOKEN_ROWS):
            path = name.removesuffix(_TOKEN_ROWS)
            tokens[path] = _token_rows(config, path, tensor)
        elif ".original_module." in name and config.saves(name.replace(".original_module.", ".")):
            copies.append(name)  # the base model's own values, from before training; bias="all" saves them too
        else:
            entry = _saved_tensor(config, name, tensor)
            _add_saved(saved, entry)
    if not factors:
        raise AdapterError("holds no lora_A and lora_B at all")
    if config.token_indices and not tokens:
        raise AdapterError("trainable_token_indices names tokens, but the file holds no trained rows of an embedding")
    updates = {layer: _update(config, layer, parts, layer in embeddings) for layer, parts in factors.items()}
    notes = (f"not used: {', '.join(copies)}: the untrained copy beside modules_to_save",) if copies else ()
    return replace(empty, updates=updates, saved=saved, tokens=tokens, notes=empty.notes + notes)


def _token_rows(config: LoraConfig, path: str, rows: torch.Tensor) -> TokenRows:
    """The trained rows of one embedding, with the ids that the config gives them."""
    indices = next((ids for end, ids in config.token_indices.items() if f"{PREFIX}{path}".endswith(end)), ())
    if rows.dim() != 2 or len(rows) != len(indices) or not rows.is_floating_point():
        raise AdapterError(
            f"{path!r} has trained rows of shape {list(rows.shape)}, {rows.dtype}, but trainable_token_indices names "
            f"{len(indices)} tokens for it: config and tensors aren't of the same adapter"
        )
    if len(set(indices)) != len(indices):
        raise AdapterError(
            f"trainable_token_indices names a token of {path!r} twice: which of its rows counts isn't said"
        )
    return TokenRows(path, indices, rows)


def _saved_tensor(config: LoraConfig, name: str, tensor: torch.Tensor) -> SavedTensor:
    """Which parameter of the base model the tensor ``name`` replaces, and by what right."""
    plain = name.replace(".modules_to_save.", ".").replace(".base_layer.", ".")
    kind: SavedKind
    if config.saves(plain):
        kind = "module"
    elif plain.endswith(".bias") and config.bias != "none":
        if config.bias == "lora_only" and ".base_layer." not in name:
            raise AdapterError(f"tensor {name!r} is unknown: bias='lora_only' saves the biases of LoRA layers alone")
        kind = "bias"
    elif plain.endswith(".weight") and "lora_" not in plain:
        kind = "embedding"  # peft adds them when the vocabulary was resized; the merge checks that it is one
    else:
        raise AdapterError(f"tensor {name!r} is unknown: neither LoRA, nor in modules_to_save, nor a trained bias")
    return SavedTensor(plain, tensor, kind)


def _add_saved(saved: dict[str, SavedTensor], entry: SavedTensor) -> None:
    """bias="all" writes a head's bias twice, under two names; twice must mean the same."""
    other = saved.setdefault(entry.name, entry)
    if not torch.equal(other.tensor, entry.tensor):
        raise AdapterError(f"tensor {entry.name!r} is there twice, with different values")


def _update(config: LoraConfig, path: str, parts: Mapping[str, torch.Tensor], embedding: bool) -> LowRankUpdate:
    """Pair the tensors of one layer, or say which is missing or has the wrong rank."""
    wanted = {"a": "lora_A", "b": "lora_B"}
    wanted |= {"magnitude": "lora_magnitude_vector"} if config.use_dora else {}
    wanted |= {"bias": "bias of lora_B"} if config.lora_bias and not embedding else {}
    for part, title in wanted.items():
        if part not in parts:
            raise AdapterError(f"layer {path!r} has no {title}: the file is incomplete")
    if "magnitude" in parts and not config.use_dora:
        raise AdapterError(f"layer {path!r} has a lora_magnitude_vector, but the config says use_dora=false")
    if "bias" in parts and not config.lora_bias:
        raise AdapterError(f"layer {path!r} has a bias of lora_B, but the config says lora_bias=false")
    a, b, rank = parts["a"], parts["b"], config.rank(path)
    if not all(tensor.is_floating_point() for tensor in parts.values()):
        raise AdapterError(f"layer {path!r}: its tensors must be floating point, got {a.dtype} and {b.dtype}")
    if a.dim() < 2 or b.dim() < 2 or a.shape[0] != rank or b.shape[1] != rank:
        raise AdapterError(
            f"layer {path!r}: the config gives it rank {rank}: expected lora_A [{rank}, …] and lora_B "
            f"[out, {rank}, …], got {list(a.shape)} and {list(b.shape)}"
        )
    return LowRankUpdate(path, a, b, parts.get("magnitude"), embedding, config.scale(path), parts.get("bias"))
