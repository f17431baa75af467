"""What goes wrong with bundles, for `corrupted.json`: the hostile bundles of tests/runtime, and `corruption_cases`.

A corruption is a list of changes, found by comparing a sound bundle with the broken one; README.md describes them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgeformer_runtime import Bundle, RuntimeBundleError
from edgeformer_runtime.bundle.golden import read_golden

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))
import corruption_cases as cases
import hostile_bundles as hostile
from test_conformance import encoders

HERE = Path(__file__).parent
GOOD = HERE / "bundles" / "text-classification"
ARRAYS = HERE / "bundles" / "image-text-similarity"  # it has a tokenizer, and golden rows of arrays alone
ARCHIVE = HERE / "archives" / "tensors.zip"
KEYS = HERE / "keys"
DATE = 500_000_000  # 1985, in seconds since 1970
LARGE = 1 << 28  # bytes: a file with a hole
CHECKSUM_BYTES = 83  # of a manifest, up to the end of the checksum's line
# Not every language makes pipes and sockets; the others are large, or differ from run to run.
ELSEWHERE = {
    "disk_model_pipe", "disk_model_socket", "disk_manifest_pipe", "disk_signature_pipe", "disk_symlink_to_device",
    "value_files_too_many", "value_recipe_deep", "value_list_at_the_top", "value_dimensions_many", "text_utf16",
    "text_not_utf8", "zip_too_many_members", "zip_that_is_none", "zip_manifest_too_large",
}  # fmt: skip
Change = dict[str, Any]


def edits(before: bytes, after: bytes) -> list[list[Any]]:
    """[position, bytes deleted, text as Latin-1, times] that make ``after`` of ``before``, one after another."""
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    tail = 0
    while tail < min(len(before), len(after)) - same and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    deleted, inserted = len(before) - same - tail, after[same : len(after) - tail]
    found: list[list[Any]] = []
    at = same
    for text, times in _runs(inserted):
        found.append([at, deleted, text.decode("latin-1"), times])
        at, deleted = at + len(text) * times, 0
    return found or [[same, deleted, "", 1]]


def _runs(text: bytes) -> Iterator[tuple[bytes, int]]:
    """The parts of ``text``, and how often each occurs in turn."""
    end = 0
    for match in re.finditer(rb"(?s)(.{1,120}?)\1{200,}", text):
        if match.start() > end:
            yield text[end : match.start()], 1
        yield match[1], len(match[0]) // len(match[1])
        end = match.end()
    if end < len(text):
        yield text[end:], 1


def changes(good: Path, bad: Path) -> list[Change]:
    """What was done to a folder, or to an archive."""
    if bad.is_file():
        return [{"change": "edit", "edits": edits(good.read_bytes(), bad.read_bytes())}]
    names = {path.relative_to(folder).as_posix() for folder in (good, bad) for path in folder.rglob("*")}
    found = [change for name in sorted(names) for change in _changed(good / name, bad / name, name)]
    folders = [change["file"] for change in found if change["change"] == "folder"]
    return [change for change in found if not any(other.startswith(f"{change['file']}/") for other in folders)]


def _changed(old: Path, new: Path, name: str) -> Iterator[Change]:
    if new.is_symlink():
        to = str(new.readlink())
        moved = {} if Path(to).parent == new.parents[name.count("/") + 1] else {"to": to}
        yield {"change": "link", "file": name, **(moved if to != str(new) else {"to": new.name})}
    elif not new.exists():
        if old.is_file():
            yield {"change": "delete", "file": name}
    elif new.is_dir():
        if not old.is_dir():
            yield {"change": "folder", "file": name}
    elif new.stat().st_nlink > 1:
        yield {"change": "hard-link", "file": name}
    elif new.stat().st_size > LARGE:
        yield {"change": "grow", "file": name, "bytes": new.stat().st_size}
    else:
        before, after = old.read_bytes() if old.exists() else b"", new.read_bytes()
        if name == "manifest.json" and b"checksum" not in after[:CHECKSUM_BYTES] and after.startswith(b"{"):
            yield {"change": "edit", "file": name, "edits": [[0, CHECKSUM_BYTES, "{\n", 1], *edits(plain(old), after)]}
        elif before != after or not old.exists():
            yield {"change": "edit", "file": name, "edits": edits(before, after)}


def plain(manifest: Path = GOOD / "manifest.json") -> bytes:
    """A sound manifest without the checksum that would give changes away."""
    return b"{\n" + manifest.read_bytes()[CHECKSUM_BYTES:]


def text_of(data: Any) -> bytes:
    """A manifest's text, as it is written, without its checksum."""
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def manifest_case(change: Callable[[bytes], bytes]) -> hostile.Case:
    """A bundle whose manifest, without its checksum, became another text."""

    def build(good: Path, folder: Path) -> Path:
        path = hostile.copied(good, folder)
        (path / "manifest.json").write_bytes(change(plain()))
        return path

    return build


def data_case(change: Callable[[Any], Any]) -> hostile.Case:
    """A bundle whose manifest became other data."""

    def changed(text: bytes) -> bytes:
        data = json.loads(text)
        made = change(data)
        return text_of(data if made is None else made)

    return manifest_case(changed)


def all_cases() -> Iterator[tuple[str, hostile.Case, list[str]]]:
    """Name, what builds it from a sound bundle, and the keys to open it with."""
    found = dict(hostile.CASES)
    for name, path in hostile.PATHS.items():
        found[f"path_{name}"] = data_case(lambda data, path=path: data["files"][1].update(path=path))
    found |= {f"value_{name}": data_case(change) for name, change in hostile.VALUES.items()}
    found |= {f"text_{name}": manifest_case(change) for name, change in hostile.TEXTS.items()}
    for name in ELSEWHERE:
        del found[name]
    found |= {f"manifest_{name}": data_case(change) for name, change in cases.DATA.items()}
    found |= {f"manifest_{name}": manifest_case(change) for name, change in cases.TEXTS.items()}
    found |= {f"golden_{name}": build for name, build in cases.GOLDEN.items()}
    found |= {f"tokenizer_{name}": build for name, build in cases.TOKENIZERS.items()}
    yield from ((name, build, []) for name, build in found.items())
    yield from ((f"signature_{name}", build, keys) for name, (build, keys) in cases.SIGNED.items())


def outcome(path: Path, keys: list[Path]) -> str | None:
    """The code that opening it, and reading its golden rows and its tokenizer, ends with; null where it is sound."""
    try:
        with Bundle.open(path, keys or None) as bundle:
            read_golden(bundle)
            encoders(bundle)
    except RuntimeBundleError as error:
        return error.code
    return None


def write() -> None:
    """The keys, the archive, and corrupted.json, a case a line."""
    for folder in (ARCHIVE.parent, KEYS):
        folder.mkdir(exist_ok=True)
    cases.write_keys(KEYS)
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        small = _dated(Path(temporary) / "small")
        shutil.copyfile(hostile.zipped(small, Path(temporary)), ARCHIVE)
        for name, build, keys in all_cases():
            source = {"zip": ARCHIVE, "tokenizer": ARRAYS}.get(name.split("_")[0], GOOD)
            good = small if source == ARCHIVE else source
            (folder := Path(temporary) / name).mkdir()
            bad = build(good, folder)
            told: dict[str, Any] = {"name": name, "bundle": source.relative_to(HERE).as_posix()}
            told.update(changes=changes(source, bad), **({"keys": keys} if keys else {}))
            told["code"] = outcome(bad, [KEYS / key for key in keys])
            lines.append(json.dumps(told, ensure_ascii=False))
    (HERE / "corrupted.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")


def _dated(folder: Path) -> Path:
    """The small bundle, of files of one date: a .zip of it is the same in each run."""
    shutil.copytree(HERE / "bundles" / "tensors", folder)
    for path in folder.rglob("*"):
        os.utime(path, (DATE, DATE))
    return folder
