"""Every kind of preprocessing by the name that a manifest gives it. A module is imported when a bundle has its kind."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Callable, Dict, List, Optional, Protocol, Sequence, Tuple, TypeVar

from ..errors import InputError
from .base import Encoded, Input


class Preprocess(Protocol):
    """How something becomes input tensors: one frozen dataclass a kind."""

    @property
    def kind(self) -> str:
        """A key of KINDS."""

    @property
    def files(self) -> Tuple[str, ...]:
        """Paths of the bundle that it reads."""

    def in_words(self) -> str:
        """What is done to an input, for a terminal."""


class Encoder(Protocol):
    """What makes a model's inputs of what a caller has."""

    def rows(self, items: Sequence[Any]) -> List[Any]:
        """What ``items`` are, checked; raises InputError naming the one that isn't what the model takes."""

    def encode_row(self, row: Any, prompt: Optional[str] = None) -> Encoded:
        """One of those, ready to run; raises InputError."""


@dataclass(frozen=True)
class Kind:
    """Where a kind's code is: a module here, and names in it."""

    takes: str  # what a caller gives, in words
    module: str
    read: str  # (value, where) -> a frozen dataclass of settings; raises RuntimeBundleError
    write: str  # the settings -> JSON data, with its kind
    encoders: str  # the module of ``encoder``: (settings, read a file of the bundle, inputs) -> Encoder
    encoder: str
    roles: Tuple[str, ...]  # of the inputs that it feeds


_TEXT_ROLES, _AUDIO_ROLES = ("tokens", "mask", "token_types"), ("samples", "features", "mask")
KINDS: Dict[str, Kind] = {
    "text": Kind("texts", ".text", "text_from_dict", "text_to_dict", ".text", "text_encoder", _TEXT_ROLES),
    "image": Kind(
        "pictures",
        ".image_preprocess",
        "image_from_dict",
        "image_to_dict",
        ".image_rows",
        "image_encoder",
        ("pixels",),
    ),
    "audio": Kind("sounds", ".audio", "audio_from_dict", "audio_to_dict", ".audio_rows", "audio_encoder", _AUDIO_ROLES),
}


def read_preprocess(value: Dict[str, Any], where: str) -> Preprocess:
    """One entry of a manifest's list, of a kind in KINDS; raises RuntimeBundleError; UnknownPartError for a key that is
    unknown, however deep it lies.
    """
    found = KINDS[value["kind"]]
    made: Preprocess = _named(found.module, found.read)(value, where)
    return made


def write_preprocess(preprocess: Preprocess) -> Dict[str, Any]:
    """The entry of a manifest's list; raises InputError for a kind that isn't one of KINDS."""
    if preprocess.kind not in KINDS:
        raise InputError(f"preprocess {preprocess.kind!r}: expected one of {', '.join(KINDS)}")
    found = KINDS[preprocess.kind]
    data: Dict[str, Any] = _named(found.module, found.write)(preprocess)
    return data


In = TypeVar("In", bound=Input)


def inputs_fed_by(kind: str, kinds: Sequence[str], inputs: Sequence[In]) -> Tuple[In, ...]:
    """Those of a model's ``inputs`` that preprocessing of ``kind`` makes; all of them where ``kinds`` has no other."""
    others = {role for other in kinds if other != kind for role in KINDS[other].roles} - set(KINDS[kind].roles)
    return tuple(item for item in inputs if item.role not in others)


def make_encoder(preprocess: Preprocess, read_file: Callable[[str], bytes], inputs: Sequence[Input]) -> Encoder:
    """What feeds ``inputs``; ``read_file`` gives the content of one of ``preprocess.files``."""
    found = KINDS[preprocess.kind]
    made: Encoder = _named(found.encoders, found.encoder)(preprocess, read_file, inputs)
    return made


def _named(module: str, name: str) -> Any:
    return getattr(import_module(module, __package__), name)
