"""Bundles that somebody made to do harm, or that broke on the way: each must be refused, whoever opens it.

A case builds what is to be opened from a sound bundle. Used by test_hostile.py and by the reliability run.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict

MODEL = "variants/onnx/model.onnx"
TOKENIZER = "preprocess/tokenizer.json"
EVIL = b"../outside"

Case = Callable[[Path, Path], Path]
CASES: Dict[str, Case] = {}  # noqa: UP006 - read by Python 3.8


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def add(name: str, function: Case) -> None:
    assert name not in CASES
    CASES[name] = function


def copied(good: Path, folder: Path) -> Path:
    return Path(shutil.copytree(str(good), str(folder / "bundle")))


def edit(path: Path, change: Callable[[Any], Any]) -> Path:
    """The manifest with ``change`` made to its data, without the checksum that would give it away."""
    data = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    del data["checksum"]
    changed = change(data)
    text = json.dumps(data if changed is None else changed)
    (path / "manifest.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def edited(change: Callable[[Any], Any]) -> Case:
    return lambda good, folder: edit(copied(good, folder), change)


def texted(change: Callable[[bytes], bytes]) -> Case:
    def build(good: Path, folder: Path) -> Path:
        path = edit(copied(good, folder), lambda data: None) / "manifest.json"
        path.write_bytes(change(path.read_bytes()))
        return path.parent

    return build


# ---- paths in the manifest ----

PATHS = {
    "traversal": "../outside",
    "traversal_inside": "variants/../../outside",
    "absolute": "/tmp/outside",
    "absolute_twice": "//outside",
    "drive": "C:/outside",
    "drive_relative": "C:outside",
    "backslash": "..\\outside",
    "share": "\\\\server\\share\\x",
    "alternate_stream": "model.onnx:stream",
    "empty": "",
    "dot": ".",
    "dot_slash": "./model.onnx",
    "double_slash": "variants//model.onnx",
    "trailing_slash": "variants/",
    "nul": "model.onnx\0.txt",
    "newline": "model\n.onnx",
    "delete_character": "model\x7f.onnx",
    "right_to_left": "model\u202exnno.",
    "zero_width": "mod\u200bel.onnx",
    "surrogate": "\ud800",
    "reserved_con": "CON",
    "reserved_with_ending": "variants/nul.onnx",
    "reserved_port": "com1/model.onnx",
    "reserved_superscript": "LPT\u00b9.txt",
    "trailing_dot": "variants./model.onnx",
    "trailing_space": "model.onnx ",
    "wildcard": "*.onnx",
    "pipe_character": "a|b",
    "long_part": "x" * 256,
    "long_path": "/".join(["x" * 100] * 12),
    "many_parts": "/".join("x" * 40),
    "case_clash": TOKENIZER.upper(),
    "folder_case_clash": "Preprocess/model.onnx",
    "manifest_itself": "manifest.json",
    "manifest_in_capitals": "MANIFEST.JSON",
    "signature_itself": "manifest.sig",
    "file_as_folder": TOKENIZER + "/x",
}
for _name, _path in PATHS.items():
    add(f"path_{_name}", edited(lambda data, path=_path: data["files"][1].update(path=path)))


@case
def path_unicode_clash(good, folder):
    def change(data):
        for text in ("caf\u00e9", "cafe\u0301"):
            data["files"].append({"path": text, "bytes": 1, "sha256": "0" * 64})

    return edit(copied(good, folder), change)


# ---- values in the manifest ----

VALUES = {
    "bytes_negative": lambda d: d["files"][0].update(bytes=-1),
    "bytes_huge": lambda d: d["files"][0].update(bytes=10**30),
    "bytes_beyond_all_disks": lambda d: d["files"][0].update(bytes=10**18),
    "bytes_fraction": lambda d: d["files"][0].update(bytes=1.5),
    "bytes_wrong": lambda d: d["files"][0].update(bytes=d["files"][0]["bytes"] + 1),
    "hash_wrong": lambda d: d["files"][0].update(sha256="0" * 64),
    "hash_capitals": lambda d: d["files"][0].update(sha256="A" * 64),
    "dimension_huge": lambda d: d["signature"]["inputs"][0].update(shape=["batch", 10**15]),
    "dimensions_huge_together": lambda d: d["signature"]["inputs"][0].update(shape=[2**20, 2**20]),
    "dimensions_many": lambda d: d["signature"]["inputs"][0].update(shape=[1] * 1000),
    "length_huge": lambda d: d["preprocess"][0].update(max_length=10**9),
    "lengths_huge": lambda d: d["variants"][0].update(lengths={"sequence": [10**12]}),
    "batch_huge": lambda d: d["variants"][0].update(fixed_batch=10**12),
    "dtype_object": lambda d: d["signature"]["inputs"][0].update(dtype="object"),
    "format_newer": lambda d: d.update(format_version=3),
    "format_older": lambda d: d.update(format_version=1),
    "format_huge": lambda d: d.update(format_version=2**63),
    "format_missing": lambda d: d.pop("format_version") and None,
    "variant_elsewhere": lambda d: d["variants"][0]["graphs"]["main"].update(path="variants/other/model.onnx"),
    "variant_twice": lambda d: d["variants"].append(d["variants"][0]),
    "variant_none": lambda d: d.update(variants=[]),
    "tokenizer_elsewhere": lambda d: d["preprocess"][0].update(tokenizer="/etc/passwd"),
    "unknown_key": lambda d: d.update(__class__="os.system"),
    "files_too_many": lambda d: d["files"].extend(
        {"path": f"f{index}", "bytes": 0, "sha256": "0" * 64} for index in range(10_001)
    ),
    "file_twice": lambda d: d["files"].append(d["files"][0]),
    "list_at_the_top": lambda d: [d],
    "checksum_wrong": lambda d: d.update(checksum="0" * 64),
    "recipe_deep": lambda d: d.update(recipe=deep(100)),
    "name_control": lambda d: d.update(name="\x1b[2Jtiny"),
}


def deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return value


for _name, _change in VALUES.items():
    add(f"value_{_name}", edited(_change))

TEXTS = {
    "nan": lambda t: t.replace(b'"recipe": {}', b'"recipe": {"x": NaN}'),
    "infinity": lambda t: t.replace(b'"recipe": {}', b'"recipe": {"x": -Infinity}'),
    "beyond_doubles": lambda t: t.replace(b'"recipe": {}', b'"recipe": {"x": 1e999}'),
    "many_digits": lambda t: t.replace(b'"recipe": {}', b'"recipe": {"x": ' + b"9" * 100_000 + b"}"),
    "duplicate_keys": lambda t: t.replace(b'"recipe": {}', b'"recipe": {}, "recipe": {}'),
    "nested_beyond_the_stack": lambda t: t.replace(b'"recipe": {}', b'"recipe": ' + b"[" * 200_000),
    "too_large": lambda t: t + b" " * (9 << 20),
    "too_many_values": lambda t: t.replace(b'"recipe": {}', b'"recipe": {"x": [' + b"[]," * 400_000 + b"[]]}"),
    "not_utf8": lambda t: t.replace(b"tiny", b"\xff\xfe"),
    "byte_order_mark": lambda t: b"\xef\xbb\xbf" + t,
    "utf16": lambda t: t.decode().encode("utf-16"),
    "truncated": lambda t: t[:-10],
    "empty": lambda t: b"",
    "trailing_data": lambda t: t + b"{}",
    "null": lambda t: b"null",
}
for _name, _text in TEXTS.items():
    add(f"text_{_name}", texted(_text))


# ---- what lies on the disk ----


def on_disk(change: Callable[[Path, Path], Any]) -> Case:
    def build(good: Path, folder: Path) -> Path:
        path = copied(good, folder)
        change(path, folder)
        return path

    return build


def link(path: Path, target: Path) -> None:
    """Move ``path`` to ``target`` and link to it."""
    shutil.move(str(path), str(target))
    path.symlink_to(target)


def hard(path: Path, target: Path) -> None:
    shutil.move(str(path), str(target))
    os.link(str(target), str(path))


def replaced(path: Path, make: Callable[[str], Any]) -> None:
    path.unlink()
    make(str(path))


def listening(path: str) -> None:
    # The name of a socket may have 107 bytes, fewer than a test's folder can have: it is made elsewhere and moved.
    with tempfile.TemporaryDirectory() as folder:
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(Path(folder) / "s"))
        server.close()
        (Path(folder) / "s").rename(path)


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


DISK = {
    "model_symlink": lambda b, t: link(b / MODEL, t / "outside.onnx"),
    "folder_symlink": lambda b, t: link(b / "preprocess", t / "outside"),
    "symlink_loop": lambda b, t: replaced(b / MODEL, lambda path: Path(path).symlink_to(path)),
    "symlink_to_device": lambda b, t: replaced(b / MODEL, lambda path: Path(path).symlink_to("/dev/zero")),
    "model_hard_link": lambda b, t: hard(b / MODEL, t / "outside.onnx"),
    "model_pipe": lambda b, t: replaced(b / MODEL, os.mkfifo),
    "model_socket": lambda b, t: replaced(b / MODEL, listening),
    "model_folder": lambda b, t: replaced(b / MODEL, os.mkdir),
    "manifest_symlink": lambda b, t: link(b / "manifest.json", t / "outside.json"),
    "manifest_hard_link": lambda b, t: hard(b / "manifest.json", t / "outside.json"),
    "manifest_pipe": lambda b, t: replaced(b / "manifest.json", os.mkfifo),
    "manifest_folder": lambda b, t: replaced(b / "manifest.json", os.mkdir),
    "manifest_sparse": lambda b, t: sparse(b / "manifest.json", 1 << 40),
    "model_sparse": lambda b, t: sparse(b / MODEL, 1 << 40),
    "model_missing": lambda b, t: (b / MODEL).unlink(),
    "model_truncated": lambda b, t: (b / MODEL).write_bytes((b / MODEL).read_bytes()[:-1]),
    "model_longer": lambda b, t: (b / MODEL).write_bytes((b / MODEL).read_bytes() + b"x"),
    "model_changed": lambda b, t: (b / MODEL).write_bytes(bytes([1]) + (b / MODEL).read_bytes()[1:]),
    "extra_file": lambda b, t: (b / "variants" / "onnx" / "weights.bin").write_bytes(b"x"),
    "extra_hidden_file": lambda b, t: (b / ".ssh").write_bytes(b"x"),
    "folders_too_deep": lambda b, t: (b / "/".join("d" * 40)).mkdir(parents=True),
    "report_symlink": lambda b, t: (b / "report.json").symlink_to("/etc/passwd"),
    "report_sparse": lambda b, t: sparse(b / "report.html", 1 << 30),
    "signature_sparse": lambda b, t: sparse(b / "manifest.sig", 1 << 30),
    "signature_pipe": lambda b, t: os.mkfifo(str(b / "manifest.sig")),
}
for _name, _disk in DISK.items():
    add(f"disk_{_name}", on_disk(_disk))


# ---- .zip ----


def member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    return info


def zipped(good: Path, folder: Path, more: Callable[[zipfile.ZipFile], Any] = lambda archive: None) -> Path:
    target = folder / "bundle.zip"
    with zipfile.ZipFile(str(target), "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(good.rglob("*")):
            if file.is_file():
                archive.write(str(file), file.relative_to(good).as_posix())
        more(archive)
    return target


MEMBERS = {
    "traversal": member("../outside"),
    "traversal_deep": member("variants/../../../outside"),
    "absolute": member("/tmp/outside"),
    "drive": member("C:/outside"),
    "backslash": member("..\\outside"),
    "symlink": member("link", 0o120777),
    "symlink_over_folder": member("variants", 0o120777),
    "pipe": member("pipe", 0o010644),
    "device": member("device", 0o060644),
    "socket": member("socket", 0o140644),
    "duplicate": member(MODEL),
    "duplicate_manifest": member("manifest.json"),
    "case_clash": member("MANIFEST.json"),
    "folder_case_clash": member("VARIANTS/x"),
    "file_as_folder": member("manifest.json/x"),
    "extra": member("extra.txt"),
    "reserved": member("aux.txt"),
    "nested_zip": member("bundle.zip"),
}
for _name, _info in MEMBERS.items():
    add(f"zip_{_name}", lambda good, folder, info=_info: zipped(good, folder, lambda a: a.writestr(info, EVIL)))


def patched(change: Callable[[bytes], bytes], more: Callable[[zipfile.ZipFile], Any] = lambda a: None) -> Case:
    def build(good: Path, folder: Path) -> Path:
        path = zipped(good, folder, more)
        content = path.read_bytes()
        changed = change(content)
        assert changed != content
        path.write_bytes(changed)
        return path

    return build


def end_record(content: bytes, **fields: int) -> bytes:
    """The archive with fields of its last record changed: disk, entries, size, start, comment."""
    values = list(struct.unpack("<4s4H2LH", content[-22:]))
    for name, value in fields.items():
        values[{"disk": 1, "here": 3, "entries": 4, "size": 5, "start": 6, "comment": 7}[name]] = value
    return content[:-22] + struct.pack("<4s4H2LH", *values)


def count_of(content: bytes) -> int:
    return int(struct.unpack("<4s4H2LH", content[-22:])[4])


def listed_field(content: bytes, name: bytes, offset: int, form: str, value: int) -> bytes:
    """The archive with one field changed in the list entry of the member ``name``."""
    start = content.rindex(b"PK\x01\x02", 0, content.rindex(name))
    size = struct.calcsize(form)
    return content[: start + offset] + struct.pack(form, value) + content[start + offset + size :]


def overlapping(content: bytes) -> bytes:
    """The list entry of the model points to the bytes of the tokenizer."""
    other = content.index(b"PK\x03\x04", content.index(b"PK\x03\x04") + 1)
    return listed_field(content, MODEL.encode(), 42, "<L", other)


ZIPS = {
    "nul_name": patched(lambda c: c.replace(b"extraX", b"extra\0"), lambda a: a.writestr(member("extraX"), b"x")),
    "prefix": patched(lambda c: b"#!/bin/sh\n" + c),
    "comment": patched(lambda c: end_record(c, comment=4) + b"evil"),
    "trailing": patched(lambda c: c + b"evil"),
    "truncated": patched(lambda c: c[: len(c) // 2]),
    "without_end": patched(lambda c: c[:-22]),
    "empty": patched(lambda c: b""),
    "directory_start": patched(lambda c: end_record(c, start=0)),
    "directory_size": patched(lambda c: end_record(c, size=46)),
    "entries_fewer": patched(lambda c: end_record(c, entries=count_of(c) - 1, here=count_of(c) - 1)),
    "entries_more": patched(lambda c: end_record(c, entries=count_of(c) + 1, here=count_of(c) + 1)),
    "entries_huge": patched(lambda c: end_record(c, entries=65_534, here=65_534)),
    "volumes": patched(lambda c: end_record(c, disk=1)),
    "zip64_without_record": patched(lambda c: end_record(c, entries=0xFFFF, here=0xFFFF)),
    "overlap": patched(overlapping),
    "local_name_differs": patched(lambda c: c.replace(MODEL.encode(), MODEL.encode()[:-1] + b"X", 1)),
    "size_understated": patched(lambda c: listed_field(c, MODEL.encode(), 24, "<L", 5)),
    "size_overstated": patched(lambda c: listed_field(c, MODEL.encode(), 24, "<L", 1 << 31)),
    "packed_size_huge": patched(lambda c: listed_field(c, MODEL.encode(), 20, "<L", 1 << 31)),
    "checksum": patched(lambda c: listed_field(c, MODEL.encode(), 16, "<L", 1)),
    "encrypted": patched(lambda c: listed_field(c, MODEL.encode(), 8, "<H", 1)),
    "method": patched(lambda c: listed_field(c, MODEL.encode(), 10, "<H", 12)),
    "offset_outside": patched(lambda c: listed_field(c, MODEL.encode(), 42, "<L", 1 << 30)),
}
for _name, _zip in ZIPS.items():
    add(f"zip_{_name}", _zip)


@case
def zip_unicode_clash(good, folder):
    def add_both(archive):
        for text in ("caf\u00e9", "cafe\u0301"):
            archive.writestr(member(text), EVIL)

    return zipped(good, folder, add_both)


@case
def zip_bomb(good, folder):
    block = bytes(20 << 20)
    return zipped(good, folder, lambda archive: archive.writestr(member("zeros"), block, zipfile.ZIP_DEFLATED))


@case
def zip_bomb_of_many_small_members(good, folder):
    def fill(archive):
        block = bytes(1 << 20)
        for index in range(64):
            archive.writestr(member(f"zeros{index}"), block, zipfile.ZIP_DEFLATED)

    return zipped(good, folder, fill)


@case
def zip_too_many_members(good, folder):
    def fill(archive):
        for index in range(10_001):
            archive.writestr(member(f"f{index}"), b"")

    return zipped(good, folder, fill)


@case
def zip_folder_with_content(good, folder):
    return zipped(good, folder, lambda archive: archive.writestr(member("evil/", 0o40755), b"x" * 100))


@case
def zip_folder_around(good, folder):
    target = folder / "bundle.zip"
    with zipfile.ZipFile(str(target), "w") as archive:
        for file in sorted(good.rglob("*")):
            archive.write(str(file), "bundle/" + file.relative_to(good).as_posix())
    return target


@case
def zip_in_a_zip(good, folder):
    inner = zipped(good, folder)
    target = folder / "outer.zip"
    with zipfile.ZipFile(str(target), "w") as archive:
        archive.writestr(member("bundle.zip"), inner.read_bytes())
    return target


@case
def zip_that_is_none(good, folder):
    (folder / "bundle.zip").write_bytes(os.urandom(1000))
    return folder / "bundle.zip"


@case
def zip_manifest_too_large(good, folder):
    path = copied(good, folder)
    content = (path / "manifest.json").read_bytes()
    (path / "manifest.json").write_bytes(content + os.urandom(5 << 20).hex().encode())
    return zipped(path, folder)


# ---- swapped while it is opened: (where it happens, what happens) ----

Swap = Callable[[Path, Path], Any]


def another(path: Path, target: Path) -> None:
    """Another file of the same size takes the name."""
    target.write_bytes(bytes(path.stat().st_size))
    target.replace(path)


SWAPS: Dict[str, Any] = {}  # noqa: UP006
for _when in ("hash", "load"):  # after the file was looked at and before it is read; between verifying and loading
    SWAPS.update(
        {
            f"swap_{_when}_another_file": (_when, lambda b, t: another(b / MODEL, t / "new")),
            f"swap_{_when}_symlink": (_when, lambda b, t: link(b / MODEL, t / "outside.onnx")),
            f"swap_{_when}_hard_link": (_when, lambda b, t: os.link(str(b / MODEL), str(t / "outside.onnx"))),
            f"swap_{_when}_pipe": (_when, lambda b, t: replaced(b / MODEL, os.mkfifo)),
            f"swap_{_when}_in_place": (_when, lambda b, t: (b / MODEL).write_bytes(bytes(610))),
            f"swap_{_when}_truncated": (_when, lambda b, t: (b / MODEL).write_bytes(b"")),
            f"swap_{_when}_longer": (_when, lambda b, t: (b / MODEL).write_bytes((b / MODEL).read_bytes() + b"x")),
            f"swap_{_when}_gone": (_when, lambda b, t: (b / MODEL).unlink()),
        }
    )
