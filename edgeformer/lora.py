"""Reading a LoRA adapter: the directory that peft's ``save_pretrained`` writes, checked before its use.

A directory holds ``adapter_config.json`` and ``adapter_model.safetensors``. What the config asks for and this
module doesn't know is refused by name; so is every tensor whose part in the merge isn't understood. What
needs the base model to be judged (shapes, which layers are targeted) is checked in ``lora_merge.py``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from .errors import AdapterError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PICKLE_FILE = "adapter_model.bin"
ALL_LINEAR = "all-linear"
BIASES = ("none", "all", "lora_only")

_PREFIX = "base_model.model."
_FACTOR_NAMES = {  # suffix of a tensor's name -> (part, is it an embedding's)
    ".lora_A.weight": ("a", False),
    ".lora_B.weight": ("b", False),
    ".lora_embedding_A": ("a", True),
    ".lora_embedding_B": ("b", True),
    ".lora_magnitude_vector": ("magnitude", False),
    ".lora_magnitude_vector.weight": ("magnitude", False),
}

# These initialize A and B by taking something out of the base weight: B·A belongs on that changed base only.
_BASE_CHANGING_INITS = ("pissa", "olora", "corda", "loftq", "lora_ga")

# Keys that say how the adapter was trained, or where; they don't change what it computes.
_INERT_KEYS = {
    "auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "fan_in_fan_out",
    "inference_mode", "init_lora_weights", "loftq_config", "lora_dropout", "lora_ga_config", "megatron_core",
    "peft_type", "peft_version", "qalora_group_size", "revision", "runtime_config", "task_type",
}  # fmt: skip
# ``fan_in_fan_out`` is among them because the base layer's class decides: peft overrides the flag likewise.
_USED_KEYS = {
    "alpha_pattern", "bias", "exclude_modules", "layers_pattern", "layers_to_transform", "lora_alpha",
    "modules_to_save", "r", "rank_pattern", "target_modules", "use_dora", "use_rslora",
}  # fmt: skip

SavedKind = Literal["module", "bias", "embedding"]


@dataclass(frozen=True)
class LoraConfig:
    """The part of adapter_config.json that decides what a merge computes, checked for type and range."""

    r: int
    alpha: float
    rank_pattern: Mapping[str, int] = field(default_factory=dict)  # regex on a layer's path -> its own rank
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    use_rslora: bool = False
    use_dora: bool = False
    bias: str = "none"  # one of BIASES
    target_modules: str | tuple[str, ...] | None = None  # a regex, "all-linear", or names; None: not recorded
    exclude_modules: str | tuple[str, ...] = ()
    layers_to_transform: tuple[int, ...] = ()
    layers_pattern: tuple[str, ...] = ()
    modules_to_save: tuple[str, ...] = ()
    task_type: str | None = None
    base_model_name: str | None = None
    base_model_module: str | None = None  # "transformers.models.bert.modeling_bert", where recorded

    def __post_init__(self) -> None:
        if self.bias not in BIASES:
            raise AdapterError(f"bias is {self.bias!r}: expected one of {', '.join(BIASES)}")
        for key, rank in {"r": self.r, **self.rank_pattern}.items():
            if rank < 1:
                raise AdapterError(f"the rank of {key!r} is {rank}: expected a positive integer")
        for key, alpha in {"lora_alpha": self.alpha, **self.alpha_pattern}.items():
            if not math.isfinite(alpha):
                raise AdapterError(f"the alpha of {key!r} is {alpha}: expected a finite number")
        for pattern in self._regexes():
            try:
                re.compile(pattern)
            except re.error as error:
                raise AdapterError(f"{pattern!r} is not a valid regular expression: {error}") from error

    def _regexes(self) -> Iterable[str]:
        yield from (*self.rank_pattern, *self.alpha_pattern, *self.modules_to_save, *self.layers_pattern)
        yield from (names for names in (self.target_modules, self.exclude_modules) if isinstance(names, str))

    def rank(self, path: str) -> int:
        """Rank r of the layer at ``path``."""
        return self.rank_pattern.get(_first_match(self.rank_pattern, path), self.r)

    def scale(self, path: str) -> float:
        """Factor of B·A: α/r (Hu et al. 2021, §4.1), or α/√r for rsLoRA (Kalajdzievski 2023, theorem 3.2)."""
        alpha = self.alpha_pattern.get(_first_match(self.alpha_pattern, path), self.alpha)
        rank = self.rank(path)
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank

    def saves(self, parameter: str) -> bool:
        """Whether the parameter lies in a module that peft saves whole: its path ENDS with one of modules_to_save.

        The end of the text, not of its dotted parts: "classifier" also saves DistilBERT's "pre_classifier"
        (``_set_trainable`` in peft/utils/other.py, which sees the paths with their prefix).
        """
        parts = parameter.split(".")
        owners = [_PREFIX + ".".join(parts[:count]) for count in range(1, len(parts))]
        return any(owner.endswith(name) for owner in owners for name in self.modules_to_save)

    def bars(self, path: str) -> bool:
        """Whether modules_to_save keeps LoRA off the layer: here peft compares whole parts of the path, as a regex."""
        return any(re.match(rf"(^|.*\.){name}($|\..*)", path) for name in self.modules_to_save)

    def targets(self, path: str) -> bool:
        """Whether the config's names select the layer at ``path``, by peft's rules.

        A string is a regex for the whole path; a list matches a path or its end after a dot.
        ``layers_to_transform`` applies to lists only. For "all-linear" the layers' classes decide, which the
        caller knows.
        """
        if self._excludes(path) or self.bars(path) or self.target_modules is None:
            return False
        if isinstance(self.target_modules, str):
            return re.fullmatch(self.target_modules, path) is not None
        return _named(path, self.target_modules) and self._in_transformed_layers(path)

    def _excludes(self, path: str) -> bool:
        if isinstance(self.exclude_modules, str):
            return re.fullmatch(self.exclude_modules, path) is not None
        return _named(path, self.exclude_modules)

    def _in_transformed_layers(self, path: str) -> bool:
        if not self.layers_to_transform:
            return True
        patterns = [rf"(?:^|.*?\.){name}\.(\d+)\." for name in self.layers_pattern] or [r".*?\.[^.]*\.(\d+)\."]
        found = next((match for pattern in patterns if (match := re.match(pattern, path))), None)
        return found is not None and int(found.group(1)) in self.layers_to_transform


@dataclass(frozen=True)
class LowRankUpdate:
    """What an adapter adds to one layer: scale · B·A.

    a: [r, in], [r, in, *kernel] for a convolution, [r, rows] for an embedding. b: [out, r], [out, r, 1…],
    [width, r]. magnitude: DoRA's vector, out elements, or None. Any floating dtype.
    """

    path: str
    a: torch.Tensor
    b: torch.Tensor
    magnitude: torch.Tensor | None
    embedding: bool
    scale: float

    @property
    def rank(self) -> int:
        """The rank r."""
        return self.a.shape[0]


@dataclass(frozen=True)
class SavedTensor:
    """A tensor that replaces one of the base model's: of a trained head, a bias, an embedding."""

    name: str  # in the base model: "classifier.weight"
    tensor: torch.Tensor
    kind: SavedKind


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter in memory, complete and free of NaN and infinity; whether it fits a base model is open.

    ``weight`` multiplies the low-rank updates (not the saved tensors, which replace). DoRA's magnitudes and
    trained biases aren't sums, so with them it must be 1.
    """

    name: str
    path: Path
    config: LoraConfig
    updates: Mapping[str, LowRankUpdate]  # by the layer's path in the base model
    saved: Mapping[str, SavedTensor]  # by the parameter's name in the base model
    weight: float = 1.0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight) or self.weight == 0:
            raise AdapterError(f"adapter {self.name}: weight {self.weight}: expected a finite number other than 0")
        if self.weight != 1 and (self.config.use_dora or self.config.bias != "none"):
            what = "a DoRA adapter" if self.config.use_dora else f"an adapter with bias={self.config.bias!r}"
            raise AdapterError(
                f"adapter {self.name}: weight {self.weight}: {what} replaces values instead of adding to "
                "them, so it can't be scaled: use weight 1"
            )


def read_adapter(path: Path, *, weight: float = 1.0, allow_pickle: bool = False) -> Adapter:
    """Read and check the adapter directory ``path``.

    ``allow_pickle`` permits adapter_model.bin, read with ``torch.load(weights_only=True)``, where there is no
    safetensors file. Raises AdapterError for missing, damaged or unsupported files.
    """
    path = Path(path)
    config = _read_config(path)
    tensors = _read_tensors(path, allow_pickle=allow_pickle)
    name = path.resolve().name
    try:
        updates, saved, notes = _sort_tensors(config, tensors)
    except AdapterError as error:
        raise AdapterError(f"adapter {path}: {error}") from error
    return Adapter(name, path, config, updates, saved, weight, notes)


def _first_match(patterns: Iterable[str], path: str) -> str:
    """The first of ``patterns`` that matches the end of ``path`` after a dot; ``path`` where none does."""
    return next((key for key in patterns if re.match(rf"(.*\.)?({key})$", path)), path)


def _named(path: str, names: Iterable[str]) -> bool:
    return any(path == name or path.endswith(f".{name}") for name in names)


# --- adapter_config.json ------------------------------------------------------------------------------------


def _read_config(path: Path) -> LoraConfig:
    file = path / CONFIG_FILE
    if not path.is_dir():
        raise AdapterError(f"adapter {path}: not a directory: give the one that holds {CONFIG_FILE}")
    if not file.is_file():
        inside = sorted(entry.parent.name for entry in path.glob(f"*/{CONFIG_FILE}"))
        hint = f"; did you mean {path / inside[0]}?" if inside else ": save it with peft's save_pretrained"
        raise AdapterError(f"adapter {path}: holds no {CONFIG_FILE}{hint}")
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise AdapterError(f"{file}: not readable as JSON: {error}") from error
    if not isinstance(raw, dict):
        raise AdapterError(f"{file}: expected a JSON object, got {type(raw).__name__}")
    try:
        _refuse_unsupported(raw)
        return _parse_config(raw)
    except AdapterError as error:
        raise AdapterError(f"{file}: {error}") from error


def _refuse_unsupported(raw: Mapping[str, Any]) -> None:
    """Refuse by name what would make the merge something other than W + scale·B·A (or DoRA's form of it)."""
    if raw.get("peft_type") != "LORA":
        raise AdapterError(f"peft_type is {raw.get('peft_type')!r}: only LORA (with rsLoRA and DoRA) is supported")
    init = str(raw.get("init_lora_weights", True)).lower()
    if init.startswith(_BASE_CHANGING_INITS):
        raise AdapterError(
            f"init_lora_weights={init!r} changed the base weights when training began, so this adapter "
            "doesn't fit the original ones: save it as plain LoRA, with save_pretrained's "
            "path_initial_model_for_weight_conversion"
        )
    for key, value in raw.items():
        if key not in _INERT_KEYS | _USED_KEYS and value not in (None, False, [], {}, ""):
            raise AdapterError(f"{key}={value!r} is not supported: merge it with peft and give the merged model")


def _parse_config(raw: Mapping[str, Any]) -> LoraConfig:
    mapping = _optional(raw, "auto_mapping", dict, {})
    return LoraConfig(
        r=_typed("r", raw.get("r"), int),
        alpha=_number("lora_alpha", raw.get("lora_alpha")),
        rank_pattern={k: _typed(f"rank_pattern[{k}]", v, int) for k, v in _patterns(raw, "rank_pattern").items()},
        alpha_pattern={k: _number(f"alpha_pattern[{k}]", v) for k, v in _patterns(raw, "alpha_pattern").items()},
        use_rslora=_optional(raw, "use_rslora", bool, False),
        use_dora=_optional(raw, "use_dora", bool, False),
        bias=_optional(raw, "bias", str, "none"),
        target_modules=None if raw.get("target_modules") is None else _regex_or_names(raw, "target_modules"),
        exclude_modules=_regex_or_names(raw, "exclude_modules"),
        layers_to_transform=_sequence(raw, "layers_to_transform", int),
        layers_pattern=_sequence(raw, "layers_pattern", str),
        modules_to_save=_sequence(raw, "modules_to_save", str),
        task_type=_optional(raw, "task_type", str, None),
        base_model_name=_optional(raw, "base_model_name_or_path", str, None),
        base_model_module=_optional(mapping, "parent_library", str, None),
    )


def _typed(key: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise AdapterError(f"{key} is {value!r}: expected {kind.__name__}")
    return value


def _optional(raw: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = raw.get(key)
    return default if value is None else _typed(key, value, kind)


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AdapterError(f"{key} is {value!r}: expected a number")
    return float(value)


def _patterns(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    patterns: dict[str, Any] = _optional(raw, key, dict, {})
    return patterns


def _sequence(raw: Mapping[str, Any], key: str, kind: type) -> tuple[Any, ...]:
    """A list of ``kind``, or a single one; () where absent."""
    value = raw.get(key)
    values = [] if value is None else value if isinstance(value, list) else [value]
    return tuple(_typed(key, item, kind) for item in values)


def _regex_or_names(raw: Mapping[str, Any], key: str) -> str | tuple[str, ...]:
    value = raw.get(key)
    return value if isinstance(value, str) else _sequence(raw, key, str)


# --- the tensors --------------------------------------------------------------------------------------------


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


def _sort_tensors(
    config: LoraConfig, tensors: Mapping[str, torch.Tensor]
) -> tuple[dict[str, LowRankUpdate], dict[str, SavedTensor], tuple[str, ...]]:
    """Give every tensor its part; raise AdapterError for the first that has none."""
    factors: dict[str, dict[str, torch.Tensor]] = {}
    saved: dict[str, SavedTensor] = {}
    copies: list[str] = []
    embeddings: set[str] = set()
    for key in sorted(tensors):
        tensor, name = tensors[key], key.removeprefix(_PREFIX)
        if name == key:
            raise AdapterError(f"tensor {key!r}: expected a name that begins with {_PREFIX!r}")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise AdapterError(f"tensor {key!r} holds NaN or infinity: the training diverged, or the file is damaged")
        suffix = next((end for end in _FACTOR_NAMES if name.endswith(end)), None)
        if suffix is not None:
            part, embedding = _FACTOR_NAMES[suffix]
            layer = name.removesuffix(suffix)
            factors.setdefault(layer, {})[part] = tensor
            embeddings |= {layer} if embedding else set()
        elif ".original_module." in name and config.saves(name.replace(".original_module.", ".")):
            copies.append(name)  # the base model's own values, from before training; bias="all" saves them too
        else:
            entry = _saved_tensor(config, name, tensor)
            _add_saved(saved, entry)
    if not factors:
        raise AdapterError("holds no lora_A and lora_B at all")
    updates = {layer: _update(config, layer, parts, layer in embeddings) for layer, parts in factors.items()}
    notes = (f"not used: {', '.join(copies)}: the untrained copy beside modules_to_save",) if copies else ()
    return updates, saved, notes


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
    wanted = {"a": "lora_A", "b": "lora_B"} | ({"magnitude": "lora_magnitude_vector"} if config.use_dora else {})
    for part, title in wanted.items():
        if part not in parts:
            raise AdapterError(f"layer {path!r} has no {title}: the file is incomplete")
    if "magnitude" in parts and not config.use_dora:
        raise AdapterError(f"layer {path!r} has a lora_magnitude_vector, but the config says use_dora=false")
    a, b, rank = parts["a"], parts["b"], config.rank(path)
    if not all(tensor.is_floating_point() for tensor in parts.values()):
        raise AdapterError(f"layer {path!r}: its tensors must be floating point, got {a.dtype} and {b.dtype}")
    if a.dim() < 2 or b.dim() < 2 or a.shape[0] != rank or b.shape[1] != rank:
        raise AdapterError(
            f"layer {path!r}: the config gives it rank {rank}: expected lora_A [{rank}, …] and lora_B "
            f"[out, {rank}, …], got {list(a.shape)} and {list(b.shape)}"
        )
    return LowRankUpdate(path, a, b, parts.get("magnitude"), embedding, config.scale(path))
