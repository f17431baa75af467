"""Every kind of preprocessing by the name that a manifest gives it. A module is imported when a bundle has its kind."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Dict, Protocol, Tuple

from ..errors import InputError


class Preprocess(Protocol):
    """How something becomes input tensors: one frozen dataclass a kind."""

    @property
    def kind(self) -> str:
        """A key of KINDS."""

    @property
    def files(self) -> Tuple[str, ...]:
        """Paths of the bundle that it reads."""


@dataclass(frozen=True)
class Kind:
    """Where a kind's code is: a module here, and its functions from and to JSON data."""

    module: str
    read: str  # (value, where) -> Preprocess; raises RuntimeBundleError
    write: str  # Preprocess -> the data, with its kind


KINDS: Dict[str, Kind] = {
    "text": Kind(".text", "text_from_dict", "text_to_dict"),
    "audio": Kind(".audio", "audio_from_dict", "audio_to_dict"),
}


def read_preprocess(value: Dict[str, Any], where: str) -> Preprocess:
    """One entry of a manifest's list, of a kind in KINDS; raises RuntimeBundleError."""
    found = KINDS[value["kind"]]
    made: Preprocess = getattr(import_module(found.module, __package__), found.read)(value, where)
    return made


def write_preprocess(preprocess: Preprocess) -> Dict[str, Any]:
    """The entry of a manifest's list; raises InputError for a kind that isn't one of KINDS."""
    if preprocess.kind not in KINDS:
        raise InputError(f"preprocess {preprocess.kind!r}: expected one of {', '.join(KINDS)}")
    found = KINDS[preprocess.kind]
    data: Dict[str, Any] = getattr(import_module(found.module, __package__), found.write)(preprocess)
    return data
