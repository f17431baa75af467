"""Mutated manifests and tokenizers with what Python makes of each, for readers in other languages.

`python tests/apps/fuzz.py FOLDER [--count N]` writes N lines of each kind. The text is that of `base`, a file below
tests/, after `edits` in turn: [byte position, bytes deleted, base64 of what is inserted there].

manifests.jsonl: `code` of the error that reading it ends with; null where it is a manifest, with `skipped`: [part,
name] of each part that isn't known. tokenizers.jsonl: two `texts` and their `ids` (null: nothing to compare with); null
where the package tokenizers refuses the file, or ends its process over it. A reader may refuse what the package opens,
and the reverse; where both open it, ids are equal.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edits import Edit, applied, drawn, places
from tokenizers import Tokenizer

from edgeformer_runtime.bundle.manifest_reader import read_manifest
from edgeformer_runtime.errors import RuntimeBundleError

TESTS = Path(__file__).resolve().parents[1]
CHECKSUM_BYTES = 83  # of a manifest, up to the end of the checksum's line
TEXTS = (
    "Hello world, isn't it 1234?", "", " ", "  two  spaces\n\ttab ", "Zu\u0308rich \ufb01 \u00bd \u2460 e\u0301",
    "\u6771\u4eac\u306f 2025\u5e74", "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    "\u0645\u0631\u062d\u0628\u0627 \u202e x", "<s>[CLS] <mask>[MASK]</s>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
    "\0\u200b\u00ad\ufeff", "the THE \u0130\u017f\u212a lower",
)  # fmt: skip


@dataclass(frozen=True)
class Base:
    """JSON text to be changed: what ``first`` leaves of a file."""

    name: str
    first: tuple[Edit, ...]
    text: bytes


def base(path: Path, *first: Edit) -> Base:
    return Base(path.relative_to(TESTS).as_posix(), first, applied(path.read_bytes(), list(first)))


def manifests() -> list[Base]:
    """One with every field, and those of the conformance bundles: one as it is, all without the checksum."""
    found = sorted((TESTS / "conformance" / "bundles").glob("*/manifest.json"))
    every = TESTS / "apps" / "every_field.json"
    return [base(every), base(found[-1]), *(base(path, (0, CHECKSUM_BYTES, b"{\n")) for path in found)]


def tokenizers() -> list[Base]:
    """That of the conformance bundles, and those inside of the tokenizers' vectors."""
    found = [base(TESTS / "conformance/bundles/text-classification/preprocess/tokenizer.json")]
    for path in sorted((TESTS / "tokenizers" / "vectors").glob("*.json")):
        text = path.read_bytes()
        (inside,) = (place for place in places(text) if text[place.item : place.start] == b'"tokenizer":')
        found.append(base(path, (inside.end, len(text) - inside.end, b""), (0, inside.start, b"")))
    return found


def manifest_outcome(text: bytes, draw: random.Random) -> dict[str, Any]:
    """What the Python runtime makes of a manifest."""
    try:
        manifest = read_manifest(text)
    except RuntimeBundleError as error:
        return {"code": error.code}
    return {"code": None, "skipped": [[item.part, item.name] for item in manifest.skipped]}


class Apart:
    """Calls functions in a process of its own: the package tokenizers ends its process over some files."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1)

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What ``function`` gives; None where its process died."""
        try:
            return self._pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            self._pool = ProcessPoolExecutor(1)
            return None


def tokenizer_outcome(apart: Apart, text: bytes, draw: random.Random) -> dict[str, Any]:
    """What the package tokenizers makes of a tokenizer.json, and of two texts with it."""
    texts = draw.sample(TEXTS, 2)
    return {"texts": texts, "ids": apart(ids_of, text, texts)}


def ids_of(text: bytes, texts: list[str]) -> list[list[int] | None] | None:
    """The ids of each of ``texts``; None where ``text`` is no tokenizer.json."""
    try:
        tokenizer = Tokenizer.from_str(text.decode("utf-8"))
    except BaseException as error:  # a panic of Rust is none of Exception's
        _raise_if_asked(error)
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [_ids(tokenizer, item) for item in texts]


def _ids(tokenizer: Tokenizer, text: str) -> list[int] | None:
    if getattr(tokenizer.model, "dropout", None) is not None:
        return None  # drawn anew in each call
    try:
        return list(tokenizer.encode(text).ids)
    except BaseException as error:
        _raise_if_asked(error)
        return None


def _raise_if_asked(error: BaseException) -> None:
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error


def cases(
    kind: str, count: int, bases: list[Base], outcome: Callable[[bytes, random.Random], dict[str, Any]]
) -> Iterator[str]:
    """Lines; a case is the same whatever their number."""
    others = tuple(item.text for item in bases)
    for index in range(count):
        draw = random.Random(f"{kind} {index}")
        chosen = bases[index % len(bases)]
        edits = drawn(draw, chosen.text, others)
        told = outcome(applied(chosen.text, edits), draw)
        written = [[at, deleted, base64.b64encode(new).decode()] for at, deleted, new in (*chosen.first, *edits)]
        yield json.dumps({"base": chosen.name, "edits": written, **told}, separators=(",", ":")) + "\n"


@contextmanager
def without_panics() -> Iterator[None]:
    """The package tokenizers tells each panic on standard error, with its stack."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def main() -> None:
    """As above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=2000, help="lines of each kind (default 2000)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for kind, bases, outcome in (
        ("manifests", manifests(), manifest_outcome),
        ("tokenizers", tokenizers(), partial(tokenizer_outcome, Apart())),
    ):
        with (options.folder / f"{kind}.jsonl").open("w", encoding="ascii") as file, without_panics():
            file.writelines(cases(kind, options.count, bases, outcome))


if __name__ == "__main__":
    main()
