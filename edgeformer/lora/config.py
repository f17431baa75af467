"""adapter_config.json: what peft's LoRA config asks for, checked for type and range.

A key that this module doesn't know, and that isn't at its neutral value, is refused by name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import AdapterError
from .adalora import as_lora_config
from .methods import refuse_method

CONFIG_FILE = "adapter_config.json"
ALL_LINEAR = "all-linear"
BIASES = ("none", "all", "lora_only")

PREFIX = "base_model.model."  # of every name in a file of peft's
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
    "alpha_pattern", "bias", "exclude_modules", "layers_pattern", "layers_to_transform", "lora_alpha", "lora_bias",
    "modules_to_save", "r", "rank_pattern", "target_modules", "trainable_token_indices", "use_dora", "use_rslora",
}  # fmt: skip


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
    lora_bias: bool = False  # B has a bias of its own
    token_indices: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # end of an embedding's path -> ids
    adaptive: bool = False  # the file holds AdaLoRA's factors
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
        owners = [PREFIX + ".".join(parts[:count]) for count in range(1, len(parts))]
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


def _first_match(patterns: Iterable[str], path: str) -> str:
    """The first of ``patterns`` that matches the end of ``path`` after a dot; ``path`` where none does."""
    return next((key for key in patterns if re.match(rf"(.*\.)?({key})$", path)), path)


def _named(path: str, names: Iterable[str]) -> bool:
    return any(path == name or path.endswith(f".{name}") for name in names)


def read_config(path: Path) -> LoraConfig:
    """The config in the adapter directory ``path``; AdapterError names what in it can't be merged."""
    file = path / CONFIG_FILE
    if not path.is_dir():
        raise AdapterError(f"adapter {path}: not a directory: give the one that holds {CONFIG_FILE}")
    if not file.is_file():
        inside = adapters_inside(path)
        hint = f"; did you mean {path / inside[0]}?" if inside else ": save it with peft's save_pretrained"
        if len(inside) > 1:
            hint = f", but {', '.join(inside)} in it do: give one of them, or each with its own --adapter"
        raise AdapterError(f"adapter {path}: holds no {CONFIG_FILE}{hint}")
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise AdapterError(f"{file}: not readable as JSON: {error}") from error
    if not isinstance(raw, dict):
        raise AdapterError(f"{file}: expected a JSON object, got {type(raw).__name__}")
    try:
        adaptive = raw.get("peft_type") == "ADALORA"
        plain = as_lora_config(raw) if adaptive else raw
        _refuse_unsupported(plain)
        return replace(_parse_config(plain), adaptive=adaptive)
    except AdapterError as error:
        raise AdapterError(f"{file}: {error}") from error


def adapters_inside(path: Path) -> list[str]:
    """Names of the adapters in folders of ``path``: checkpoints, or adapters that had names in training."""
    return sorted(entry.parent.name for entry in path.glob(f"*/{CONFIG_FILE}"))


def _refuse_unsupported(raw: Mapping[str, Any]) -> None:
    """Refuse by name what would make the merge something other than W + scale·B·A (or DoRA's form of it)."""
    refuse_method(raw.get("peft_type"))
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
        lora_bias=_optional(raw, "lora_bias", bool, False),
        token_indices=_token_indices(raw),
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


def _token_indices(raw: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """trainable_token_indices by the end of their embedding's path; a bare list, "", is the input embeddings'."""
    value = raw.get("trainable_token_indices") or {}
    tables = value if isinstance(value, dict) else {"": value}
    return {end: _sequence(tables, end, int) for end in tables}


def _regex_or_names(raw: Mapping[str, Any], key: str) -> str | tuple[str, ...]:
    value = raw.get(key)
    return value if isinstance(value, str) else _sequence(raw, key, str)
