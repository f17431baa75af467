"""Device profiles: what a board declares of itself, read from ``profiles/<name>.toml`` into a ``Target``.

A profile has a source beside every number. ``cpu_features`` uses the names of Linux's /proc/cpuinfo on every
system ("asimddp" is Arm's dot product), so that one name means one thing.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from edgeformer_runtime.device.target import EngineSpec, Target
from edgeformer_runtime.engines import declared_names
from edgeformer_runtime.errors import TargetError

_SUFFIX = ".toml"
_REQUIRED: dict[str, type] = {
    "name": str,
    "title": str,
    "arch": str,
    "cpu_cores": int,
    "cpu_features": list,
    "memory_bytes": int,
    "engines": list,
    "sources": dict,
}
_OPTIONAL: dict[str, type] = {"power_sensor": str}
_ENGINE_REQUIRED: dict[str, type] = {"name": str, "version": str}
_ENGINE_OPTIONAL: dict[str, type] = {"max_opset": int}
_NOTES = "notes"  # the one key of [sources] that names no number: what is unknown or assumed


def names() -> tuple[str, ...]:
    """Names of every profile, sorted."""
    folder = resources.files(__package__) / "profiles"
    return tuple(sorted(entry.name.removesuffix(_SUFFIX) for entry in folder.iterdir() if entry.name.endswith(_SUFFIX)))


def load(name: str) -> Target:
    """The profile called ``name``; raises TargetError, naming the nearest ones, where there is none."""
    known = names()
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
        raise TargetError(f"device {name!r} is unknown: did you mean {' or '.join(nearest)}?")
    file = resources.files(__package__) / "profiles" / f"{name}{_SUFFIX}"
    return parse_profile(file.read_text(encoding="utf-8"), name)


def load_all() -> tuple[Target, ...]:
    """Every profile, sorted by name."""
    return tuple(load(name) for name in names())


def parse_profile(text: str, name: str) -> Target:
    """Read the TOML ``text`` of the profile called ``name``.

    Raises TargetError for what isn't TOML, for an unknown or missing key, a wrong type, a value out of range,
    and a number without a source.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"profile {name!r}: not valid TOML: {error}") from error
    where = f"profile {name!r}"
    _check_table(raw, _REQUIRED, _OPTIONAL, where)
    if raw["name"] != name:
        raise TargetError(f"{where}: its name is {raw['name']!r}: expected that of its file")
    _check_strings(raw["cpu_features"], f"{where}: cpu_features")
    _check_strings(raw["sources"].values(), f"{where}: [sources]")
    engines = tuple(_engine(entry, where) for entry in raw["engines"])
    try:
        target = Target(
            name=name,
            title=raw["title"],
            arch=raw["arch"],
            cpu_cores=raw["cpu_cores"],
            cpu_features=tuple(raw["cpu_features"]),
            memory_bytes=raw["memory_bytes"],
            engines=engines,
            power_sensor=raw.get("power_sensor"),
            sources=dict(raw["sources"]),
        )
    except TargetError as error:
        raise TargetError(f"{where}: {error}") from error
    _check_sources(target, where)
    return target


def _engine(raw: Any, where: str) -> EngineSpec:
    if not isinstance(raw, dict):
        raise TargetError(f"{where}: [[engines]]: expected tables, got {type(raw).__name__}")
    _check_table(raw, _ENGINE_REQUIRED, _ENGINE_OPTIONAL, f"{where}: [[engines]]")
    if raw["name"] not in declared_names():
        known = ", ".join(declared_names())
        raise TargetError(f"{where}: engine {raw['name']!r} is unknown: expected one of {known}")
    try:
        return EngineSpec(**raw)
    except TargetError as error:
        raise TargetError(f"{where}: {error}") from error


def _check_table(
    raw: Mapping[str, Any], required: Mapping[str, type], optional: Mapping[str, type], where: str
) -> None:
    """Refuse unknown keys (naming the nearest known one), missing keys and wrong types."""
    known = {**required, **optional}
    for key, value in raw.items():
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"expected one of {', '.join(known)}"
            raise TargetError(f"{where}: unknown key {key!r}: {hint}")
        if not isinstance(value, known[key]) or isinstance(value, bool):
            raise TargetError(f"{where}: {key} is {value!r}: expected {known[key].__name__}")
    missing = [key for key in required if key not in raw]
    if missing:
        raise TargetError(f"{where}: missing {', '.join(missing)}")


def _check_strings(values: Iterable[Any], where: str) -> None:
    for value in values:
        if not isinstance(value, str) or not value.strip():
            raise TargetError(f"{where}: {value!r}: expected a text that isn't empty")


def _check_sources(target: Target, where: str) -> None:
    """Every number has a source, and every source is of a number."""
    numbers = {"cpu_cores", "cpu_features", "memory_bytes"}
    for engine in target.engines:
        numbers.add(f"{engine.name}.version")
        if engine.max_opset is not None:
            numbers.add(f"{engine.name}.max_opset")
    for key in sorted(numbers - target.sources.keys()):
        raise TargetError(f"{where}: {key} has no source: add {key!r} to [sources]")
    for key in sorted(target.sources.keys() - numbers - {"power_sensor", _NOTES}):
        raise TargetError(f"{where}: [sources] names {key!r}, which the profile doesn't have")
