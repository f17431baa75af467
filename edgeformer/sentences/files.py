"""Reading a sentence-transformers directory: modules.json, one config a module, config_sentence_transformers.json.

Old and new layouts: the encoder at the top or in 0_Transformer (any path), poolings as flags or as a name, module types
by whichever dotted name a release gave them. What isn't understood is refused by name, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..model.files import read_json, read_json_value
from ..tasks.pooling import POOLING_MODES, PoolingMode, pooling_modes

_LAYERS = ("Dense", "LayerNorm", "Normalize", "Dropout")
_NOT_COMPILED = {
    "Router": "texts of two kinds go different ways (asymmetric); save the way that this device needs as a model of "
    "its own",
    "Asym": "texts of two kinds go different ways (asymmetric); save the way that this device needs as a model of "
    "its own",
    "StaticEmbedding": "it is a table of word vectors without a transformer",
    "WordEmbeddings": "it is a table of word vectors without a transformer",
    "BoW": "it counts words and has no transformer",
    "CLIPModel": "it takes pictures too",
    "MLMTransformer": "it makes sparse vectors of the vocabulary's size",
    "SpladePooling": "it makes sparse vectors of the vocabulary's size",
    "WeightedLayerPooling": "it mixes the hidden states of all layers",
}
_FLAGS = {f"pooling_mode_{mode}": mode for mode in POOLING_MODES} | {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}


@dataclass(frozen=True)
class LayerFiles:
    """A module behind the pooling: its kind (the class's name), its directory, and its config.json."""

    kind: str
    directory: Path
    config: Mapping[str, Any]


@dataclass(frozen=True)
class SentenceFiles:
    """What a directory with a modules.json says. ``layers`` run behind the pooling, in their order."""

    directory: Path
    encoder: Path  # where config.json and the encoder's weights are
    pooling: tuple[PoolingMode, ...] = ()  # () where no module pools: a cross-encoder
    include_prompt: bool = True
    layers: tuple[LayerFiles, ...] = field(default=())


def encoder_directory(directory: Path) -> Path:
    """Where a model directory keeps its encoder: itself, or the path of the first entry of modules.json.

    Raises:
        ModelError: modules.json is damaged, or its first module is none that is compiled here, by name.
    """
    if not (directory / "modules.json").is_file():
        return directory
    kind, place = _entries(directory)[0]
    _refuse_unknown([kind], directory)
    return directory / place


def read_sentence_files(directory: Path) -> SentenceFiles | None:
    """What the directory says of itself beside its encoder; None without a modules.json.

    Raises:
        ModelError: a file is missing or damaged, or a module isn't compiled here: its name, and why.
    """
    if not (directory / "modules.json").is_file():
        return None
    entries = _entries(directory)
    kinds = [kind for kind, _ in entries]
    _refuse_unknown(kinds, directory)
    if kinds[0] != "Transformer" or kinds.count("Transformer") != 1 or kinds[1:2] not in ([], ["Pooling"]):
        raise ModelError(
            f"{directory / 'modules.json'}: modules {', '.join(kinds)}: expected one Transformer, then one Pooling, "
            f"then others of {', '.join(_LAYERS)}"
        )
    if kinds.count("Pooling") > 1:
        raise ModelError(f"{directory / 'modules.json'}: {kinds.count('Pooling')} modules Pooling: expected one")
    pooling: tuple[PoolingMode, ...] = ()
    include_prompt = True
    if len(kinds) > 1:
        path = directory / entries[1][1] / "config.json"
        config = read_json(path)
        pooling, include_prompt = _pooling(config, path), config.get("include_prompt", True) is not False
    layers = tuple(_layer(directory, kind, path) for kind, path in entries[2:] if kind != "Dropout")
    return SentenceFiles(directory, directory / entries[0][1], pooling, include_prompt, layers)


def _refuse_unknown(kinds: Sequence[str], directory: Path) -> None:
    for kind in kinds:
        if kind not in ("Transformer", "Pooling", *_LAYERS):
            why = _NOT_COMPILED.get(kind, "it is unknown here")
            raise ModelError(
                f"{directory / 'modules.json'}: module {kind!r}: {why}. Compiled are a Transformer, its Pooling, and "
                f"behind them {', '.join(_LAYERS)}. For an encoder alone, give its directory without modules.json"
            )


def _entries(directory: Path) -> list[tuple[str, str]]:
    """(class's name, path) of each module."""
    path = directory / "modules.json"
    value = read_json_value(path)
    if not isinstance(value, list) or not value:
        raise ModelError(f"{path}: expected a list of modules, got {type(value).__name__}")
    entries = []
    for index, entry in enumerate(value):
        kind, place = (entry.get("type"), entry.get("path")) if isinstance(entry, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(place, str):
            raise ModelError(f"{path}: module {index}: expected an object with a type and a path")
        if place.startswith("/") or ".." in Path(place).parts:
            raise ModelError(f"{path}: module {index}: path {place!r} leads out of the directory")
        if kind.split(".")[0] != "sentence_transformers":
            raise ModelError(
                f"{path}: module {index} is {kind!r}, code of the model's own, which is not run: expected a class of "
                "sentence_transformers"
            )
        entries.append((kind.rpartition(".")[2], place))
    return entries


def _pooling(config: Mapping[str, Any], path: Path) -> tuple[PoolingMode, ...]:
    """The modes of a Pooling's config, in the order of their concatenation."""
    named = config.get("pooling_mode")
    if named is not None:
        if not isinstance(named, str) and not (isinstance(named, Sequence) and all(isinstance(m, str) for m in named)):
            raise ModelError(f"{path}: pooling_mode {named!r}: expected a name, or a list of names")
        return pooling_modes([named] if isinstance(named, str) else list(named), str(path))
    flagged = [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
    unknown = [key for key in flagged if key not in _FLAGS]
    if unknown:
        raise ModelError(f"{path}: {unknown[0]} is not supported: expected some of {', '.join(POOLING_MODES)}")
    chosen = {_FLAGS[key] for key in flagged}
    return tuple(mode for mode in POOLING_MODES if mode in chosen) or ("mean",)


def _layer(directory: Path, kind: str, path: str) -> LayerFiles:
    place = directory / path
    config_path = place / "config.json"
    needed = kind != "Normalize"  # older releases saved it without any file
    config = read_json(config_path) if needed or config_path.is_file() else {}
    for key in ("module_input_name", "module_output_name"):
        name = config.get(key) or "sentence_embedding"
        if name != "sentence_embedding":
            raise ModelError(
                f"{config_path}: {key} {name!r}: {kind} is compiled on the pooled vector (sentence_embedding) only, "
                "not on vectors a token or on scores"
            )
    return LayerFiles(kind, place, config)
