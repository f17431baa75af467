"""Recipe: what to do to a model, as frozen types that TOML can hold without loss.

version = 1
[[steps]]
pass = "merge_lora"
[[steps]]
pass = "quantize"
feed_forward = "int4"
[export]
sequence_lengths = [32, 128]
[gate]
max_drop = 0.01
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomli_w

from edgeformer_converters.base import CONVERTERS, get_converter

from .apps import get_platform
from .errors import InputError, RecipeError
from .passes.allocate import Allocate
from .passes.base import Pass
from .passes.extend_positions import ExtendPositions
from .passes.local_attention import LocalAttend
from .passes.merge_lora import AdapterSource, MergeLora
from .passes.prune_n_m import PruneNM
from .passes.prune_structured import PruneStructured
from .passes.prune_unstructured import PruneUnstructured
from .passes.quantize import FLOAT, Quantize
from .passes.recover import Recover
from .passes.smooth import Smooth
from .passes.trim_vocabulary import TrimVocabulary

RECIPE_VERSION = 1
PASSES: dict[str, type[Pass]] = {
    "allocate": Allocate,
    "extend_positions": ExtendPositions,
    "local_attention": LocalAttend,
    "merge_lora": MergeLora,
    "prune_n_m": PruneNM,
    "prune_structured": PruneStructured,
    "prune_unstructured": PruneUnstructured,
    "quantize": Quantize,
    "recover": Recover,
    "smooth": Smooth,
    "trim_vocabulary": TrimVocabulary,
}


@dataclass(frozen=True)
class ExportSettings:
    """Which formats to write, the lengths that static ones get, and what is asked of single backends.

    ``backends`` holds a converter's own settings by format, in TOML the table ``[export.<format>]``.
    """

    formats: tuple[str, ...] = ()  # () = what the devices run; without devices those that are made by default
    platform: str | None = None  # a key of ``apps.PLATFORMS``: the bundle holds what runs in apps there, no more
    sequence_lengths: tuple[int, ...] = (32, 128)
    backends: Mapping[str, Any] = field(default_factory=dict)  # format -> an instance of its converter's ``settings``

    def __post_init__(self) -> None:
        for name, given in self.backends.items():
            if name not in CONVERTERS or not isinstance(given, get_converter(name).settings):
                raise RecipeError(f"export.{name}: {given!r}: expected a format's own settings")
        if self.platform is not None:
            get_platform(self.platform)
        lengths = self.sequence_lengths
        if not lengths or any(type(length) is not int or length < 2 for length in lengths):
            raise RecipeError(f"export.sequence_lengths = {list(lengths)}: expected integers of at least 2")
        object.__setattr__(self, "sequence_lengths", tuple(sorted(set(lengths))))

    def asked_of(self, format: str) -> dict[str, Any]:
        """Settings of the variants of one format; what wasn't asked for is left out."""
        return _plain(self.backends[format]) if format in self.backends else {}

    @classmethod
    def from_dict(cls, data: Any) -> ExportSettings:
        """The inverse of ``to_dict``; raises RecipeError."""
        if not isinstance(data, Mapping):
            raise RecipeError(f"export: expected a table, got {type(data).__name__}")
        tables = {name: value for name, value in data.items() if name in CONVERTERS}
        backends = {
            name: _build(get_converter(name).settings, value, f"export.{name}") for name, value in tables.items()
        }
        known = tuple(item.name for item in dataclasses.fields(cls) if item.name != "backends")
        own = {name: value for name, value in data.items() if name not in CONVERTERS}
        _check_keys(own, known, "export", also=tuple(CONVERTERS))
        built: ExportSettings = _build(cls, own, "export")
        return replace(built, backends=backends)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: a table a backend beside the settings of all."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "backends"}
        given = {name: value for name, value in values.items() if value is not None}
        return {**_plain(given), **{name: _plain(value) for name, value in self.backends.items()}}


@dataclass(frozen=True)
class Gate:
    """What a variant must keep to be published."""

    max_drop: float | None = None  # of the metric, uncompressed minus variant, in the metric's own unit (0…1)
    max_size_bytes: int | None = None  # of each variant's files
    max_bundle_bytes: int | None = None  # of the whole bundle without its reports, which an app leaves out
    max_latency_ms: float | None = None  # of each variant that runs here, one row at the longest sequence length
    min_cosine: float = 0.999  # of 99 % of the samples, with the compressed torch model
    min_cosine_integer_activations: float = 0.995  # the same where the engine quantizes activations

    def __post_init__(self) -> None:
        if self.max_drop is not None and not 0 <= self.max_drop <= 1:
            raise RecipeError(f"gate.max_drop = {self.max_drop}: expected a share between 0 and 1 (0.01 is one point)")
        for name in ("max_size_bytes", "max_bundle_bytes", "max_latency_ms"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise RecipeError(f"gate.{name} = {getattr(self, name)}: expected an amount above 0")
        for name in ("min_cosine", "min_cosine_integer_activations"):
            if not -1 <= getattr(self, name) <= 1:
                raise RecipeError(f"gate.{name} = {getattr(self, name)}: expected a cosine between -1 and 1")

    @property
    def variant_bytes(self) -> int | None:
        """What no variant's files may be larger than, by either limit."""
        limits = [limit for limit in (self.max_size_bytes, self.max_bundle_bytes) if limit is not None]
        return min(limits, default=None)


@dataclass(frozen=True)
class Recipe:
    """Steps in order, export settings, and the gate."""

    steps: tuple[Pass, ...] = ()
    export: ExportSettings = field(default_factory=ExportSettings)
    gate: Gate = field(default_factory=Gate)
    version: int = RECIPE_VERSION

    @classmethod
    def preset(cls, name: str) -> Recipe:
        """One of ``PRESETS``; raises RecipeError naming them."""
        if name not in PRESETS:
            raise RecipeError(f"recipe {name!r}: expected a preset, or a .toml file{_nearest(name, PRESETS)}")
        return PRESETS[name]

    @classmethod
    def load(cls, name_or_path: str) -> Recipe:
        """A preset's name, or a TOML file; raises RecipeError."""
        path = Path(name_or_path)
        if name_or_path in PRESETS or not path.suffix:
            return cls.preset(name_or_path)
        try:
            return cls.from_toml(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RecipeError(f"recipe {path}: not found, and no preset has that name") from error
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"recipe {path}: can't be read: {error}") from error
        except RecipeError as error:
            raise RecipeError(f"recipe {path}: {error}") from error

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        """Parse TOML; raises RecipeError naming the key, and the nearest known one for an unknown key."""
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"not valid TOML: {error}") from error

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """The inverse of ``to_dict``."""
        _check_keys(data, ("version", "steps", "export", "gate"), "recipe")
        version = data.get("version", RECIPE_VERSION)
        if version != RECIPE_VERSION:
            raise RecipeError(f"version = {version!r}: this edgeformer reads version {RECIPE_VERSION}")
        steps = data.get("steps", [])
        if not isinstance(steps, list):
            raise RecipeError("steps: expected [[steps]] tables")
        return cls(
            steps=tuple(_step(entry, index) for index, entry in enumerate(steps)),
            export=ExportSettings.from_dict(data.get("export", {})),
            gate=_build(Gate, data.get("gate", {}), "gate"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data; settings that are None are left out, since TOML has no null."""
        return {
            "version": self.version,
            "steps": [{"pass": step.name, **_plain(step)} for step in self.steps],
            "export": self.export.to_dict(),
            "gate": _plain(self.gate),
        }

    def to_toml(self) -> str:
        """TOML that ``from_toml`` reads back as an equal recipe."""
        return tomli_w.dumps(self.to_dict())

    def with_setting(self, assignment: str) -> Recipe:
        """Apply ``KEY=VALUE`` as given to ``--set``, e.g. ``quantize.algorithm=mse`` or ``gate.max_drop=0.02``."""
        key, separator, text = assignment.partition("=")
        section, dot, name = key.strip().partition(".")
        if not separator or not dot or not name:
            raise RecipeError(f"--set {assignment!r}: expected SECTION.KEY=VALUE, e.g. quantize.feed_forward=int8")
        data = self.to_dict()
        tables = [step for step in data["steps"] if step["pass"] == section]
        if section in ("export", "gate"):
            tables = [data[section]]
        if not tables:
            known = ["export", "gate", *(step.name for step in self.steps)]
            raise RecipeError(f"--set {assignment!r}: no section {section!r}{_nearest(section, known)}")
        backend, dot, inner = name.strip().partition(".")
        if dot and section == "export" and backend in CONVERTERS:
            tables, name = [data[section].setdefault(backend, {})], inner
        for table in tables:
            table[name.strip()] = _value(text.strip())
        return Recipe.from_dict(data)

    def with_adapters(self, adapters: tuple[AdapterSource, ...]) -> Recipe:
        """The recipe with ``adapters`` given to its merge_lora step, which is put first when there is none."""
        if not adapters:
            return self
        merge = MergeLora(adapters=adapters)
        if not any(isinstance(step, MergeLora) for step in self.steps):
            return replace(self, steps=(merge, *self.steps))
        return replace(self, steps=tuple(merge if isinstance(step, MergeLora) else step for step in self.steps))


_QUERIES_AND_KEYS = r"\.(query|key|q|k|[qk]_(lin|proj)|(query|key)_proj)$"  # by any family's name

PRESETS: dict[str, Recipe] = {
    # fp32 everywhere: the baseline that the others are measured against
    "float32": Recipe(steps=(MergeLora(),)),
    "int8": Recipe(steps=(MergeLora(), Quantize(feed_forward="int8"))),
    "balanced": Recipe(steps=(MergeLora(), Quantize(algorithm="mse"))),
    "small": Recipe(
        steps=(
            MergeLora(),
            Quantize(algorithm="mse", embedding="int4", layers={_QUERIES_AND_KEYS: "int4"}),
        )
    ),
    # formats layer by layer, found under the budget that the gate states; per channel, since blocks cost LiteRT's speed
    "auto": Recipe(steps=(MergeLora(), Allocate(formats=("int8", "int4"), algorithm="gptq"))),
    # everything at once: a third of the heads and half of the feed-forward channels, the vocabulary, and 4 bits
    "tiny": Recipe(
        steps=(
            MergeLora(),
            PruneStructured(heads=1 / 3, channels=0.5),
            Recover(),
            TrimVocabulary(),
            Quantize(algorithm="gptq", embedding="int4"),
        )
    ),
}


def _step(entry: Any, index: int) -> Pass:
    where = f"steps[{index}]"
    if not isinstance(entry, Mapping) or "pass" not in entry:
        raise RecipeError(f"{where}: expected a table with the key 'pass'")
    name = entry["pass"]
    if name not in PASSES:
        raise RecipeError(f"{where}: pass {name!r} is unknown{_nearest(str(name), PASSES)}")
    options = {key: value for key, value in entry.items() if key != "pass"}
    if PASSES[name] is MergeLora and "adapters" in options:
        options["adapters"] = tuple(_build(AdapterSource, item, f"{where}.adapters") for item in options["adapters"])
    built: Pass = _build(PASSES[name], options, f"{where} ({name})")
    return built


def _build(kind: type[Any], values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where}: expected a table, got {type(values).__name__}")
    known = {item.name: item for item in dataclasses.fields(kind)}
    _check_keys(values, tuple(known), where)
    converted = {key: _as_field(value, str(known[key].type)) for key, value in values.items()}
    for key, value in converted.items():
        _check_type(value, str(known[key].type), f"{where}.{key}")
    try:
        return kind(**converted)
    except (TypeError, InputError) as error:
        raise RecipeError(f"{where}: {error}") from error


def _as_field(value: Any, annotation: str) -> Any:
    """TOML's lists as tuples; one value stands for a list of one."""
    if isinstance(value, list):
        return tuple(value)
    alone = annotation.startswith("tuple") and isinstance(value, int | str) and not isinstance(value, bool)
    return (value,) if alone else value


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "float": (int, float),
    "float | None": (int, float),
    "int": (int,),
    "int | None": (int,),
    "str | None": (str,),
    "bool": (bool,),
}


def _check_type(value: Any, annotation: str, where: str) -> None:
    wanted = _TYPES.get(annotation)
    if annotation.startswith(("tuple", "Sequence")):
        wanted = (tuple,)
    if annotation.startswith("Mapping"):
        wanted = (dict,)
    wrong_bool = isinstance(value, bool) and wanted is not None and bool not in wanted
    if wanted is not None and (wrong_bool or not isinstance(value, wanted)):
        raise RecipeError(f"{where} = {value!r}: expected {annotation}, got {type(value).__name__}")


def _check_keys(data: Mapping[str, Any], known: tuple[str, ...], where: str, also: tuple[str, ...] = ()) -> None:
    """``also``: names that are known, and not among ``data`` any more."""
    for key in data:
        if key not in known:
            raise RecipeError(f"{where}: unknown key {key!r}{_nearest(key, (*known, *also))}")


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, [str(item) for item in known], n=1, cutoff=0.5)
    if not close and not known:
        return ": it has no settings"
    return f": did you mean {close[0]!r}?" if close else f": known are {', '.join(map(str, known))}"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        items = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
        return {key: _plain(item) for key, item in items.items() if item is not None}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _value(text: str) -> Any:
    """A TOML value; a bare word is a string, and ``a,b`` a list."""
    for candidate in (text, f"[{text}]" if "," in text else text):
        try:
            return tomllib.loads(f"v = {candidate}")["v"]
        except tomllib.TOMLDecodeError:
            continue
    return [item.strip() for item in text.split(",")] if "," in text else text


__all__ = ["FLOAT", "PASSES", "PRESETS", "ExportSettings", "Gate", "Recipe"]
