"""Ways in which a file goes wrong: damage on the way, hand-edited JSON, tensors of other names, shapes and types.

Each takes a random generator and a path, and changes the file; equal generators make equal changes.
"""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 2**31, 2**63, 10**40, -(10**12), 0.5, 1e308, "", " ", "x", "0", "-1", "None",
    "../x", "/", "a\0b", "\ud800", "é" * 300, [], {}, [[]], [None], [0], ["x"], {"": 0}, {"0": "x"}, {"x": {}},
    [1, "x", None], "bert", "roberta", "gelu", "relu", "float16", "auto", "BertModel", "sdpa",
    "multi_label_classification",
)  # fmt: skip
_PAGE = b"<!doctype html><html><body>Access to this model is restricted</body></html>"
_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 437\n"
Mutation = Callable[[random.Random, Path], None]


def any_file(draw: random.Random, path: Path) -> None:
    """Damage that any file can take."""
    data = path.read_bytes()
    draw.choice(_DAMAGE)(draw, path, data)


def _delete(draw: random.Random, path: Path, data: bytes) -> None:
    path.unlink()


def _cut(draw: random.Random, path: Path, data: bytes) -> None:
    path.write_bytes(data[: draw.randrange(len(data) + 1)])


def _flip(draw: random.Random, path: Path, data: bytes) -> None:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 3, 30))):
        if changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    path.write_bytes(changed)


def _insert(draw: random.Random, path: Path, data: bytes) -> None:
    at = draw.randrange(len(data) + 1)
    new = draw.choice((b"\0", b"\xff\xfe", b"\r\n", b"//", b",", b'"', b"{", b"NaN", draw.randbytes(20)))
    path.write_bytes(data[:at] + new + data[at:])


def _drop_span(draw: random.Random, path: Path, data: bytes) -> None:
    start = draw.randrange(len(data) + 1)
    path.write_bytes(data[:start] + data[start + draw.randrange(1, 60) :])


def _replace(draw: random.Random, path: Path, data: bytes) -> None:
    replacements = (
        b"",
        b"\0" * 64,
        draw.randbytes(200),
        b"{}",
        b"[]",
        b"null",
        b"{" * 5000,
        b"[" * 100_000,
        _PAGE,
        _POINTER,
    )
    path.write_bytes(draw.choice(replacements))


def _encode(draw: random.Random, path: Path, data: bytes) -> None:
    mark = draw.choice(("\ufeff", ""))
    text = mark + data.decode("utf-8", "replace")
    path.write_bytes(text.encode(draw.choice(("utf-8", "utf-16", "utf-16-le", "utf-32", "latin-1")), "replace"))


def _lines(draw: random.Random, path: Path, data: bytes) -> None:
    path.write_bytes(data.replace(b"\n", draw.choice((b"\r\n", b"\r", b"\n\n", b""))))


def _folder(draw: random.Random, path: Path, data: bytes) -> None:
    path.unlink()
    path.mkdir()


def _loop(draw: random.Random, path: Path, data: bytes) -> None:
    path.unlink()
    path.symlink_to(draw.choice((path.name, "nowhere", "..", "/dev/null")))


def _locked(draw: random.Random, path: Path, data: bytes) -> None:
    path.chmod(0)


def _renamed(draw: random.Random, path: Path, data: bytes) -> None:
    path.rename(
        path.with_name(draw.choice((path.name.upper(), path.name + ".bak", "pytorch_model.bin", "spiece.model")))
    )


def _swapped(draw: random.Random, path: Path, data: bytes) -> None:
    other = draw.choice(sorted(p for p in path.parent.iterdir() if p.is_file()))
    path.write_bytes(other.read_bytes())


_DAMAGE = (_delete, _cut, _cut, _flip, _flip, _insert, _drop_span, _replace, _replace, _encode, _lines, _folder, _loop,
           _locked, _renamed, _swapped)  # fmt: skip


def json_value(draw: random.Random, path: Path) -> None:
    """One value, or key, of a JSON file becomes another."""
    value = json.loads(path.read_text(encoding="utf-8"))
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        places = list(_places(value))
        if not places:
            break
        holder, key = draw.choice(places)
        _change(draw, holder, key)
    path.write_text(_dumped(value), encoding="utf-8")


def _places(value: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    """Every holder and key, but of a long table (a vocabulary) some only, so that settings are hit as well."""
    found: list[tuple[Any, Any]] = []
    if depth > 8 or not isinstance(value, dict | list):
        return found
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    for key in keys[:40]:
        found.append((value, key))
        found += _places(value[key], depth + 1)
    return found


def _change(draw: random.Random, holder: Any, key: Any) -> None:
    old = holder[key]
    kind = draw.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[draw.choice(("x", key + "_", key.upper()))] = holder.pop(key)
    elif kind == 2:
        holder[key] = [old]
    elif kind == 3 and isinstance(old, int | float) and not isinstance(old, bool):
        holder[key] = draw.choice((old + 1, old - 1, -old, old * 2, old / 2, str(old), old * 1000))
    elif kind == 4:
        nested: Any = old
        for _ in range(draw.choice((2, 100, 3000))):
            nested = [nested]
        holder[key] = nested
    else:
        holder[key] = draw.choice(VALUES)


def _dumped(value: Any) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "[" * 3000 + "]" * 3000


def tensors(draw: random.Random, path: Path) -> None:
    """Tensors renamed, left out, added, of another shape or type, or not finite; or the header itself."""
    import torch
    from safetensors.torch import load_file, save_file

    if draw.randrange(5) == 0:
        _header(draw, path)
        return
    found = load_file(path)
    for _ in range(draw.choice((1, 1, 2, 8))):
        if not found:
            break
        name = draw.choice(sorted(found))
        tensor = found.pop(name)
        kind = draw.randrange(9)
        if kind == 0:
            continue
        if kind == 1:
            found[draw.choice((f"module.{name}", name + "x", name.rpartition(".")[2], "model." + name, ""))] = tensor
        elif kind == 2:
            dtypes = (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int64, torch.bool, torch.uint8)
            found[name] = tensor.to(draw.choice(dtypes))
        elif kind == 3:
            found[name] = tensor.reshape(-1)[: draw.randrange(tensor.numel() + 1)].clone()
        elif kind == 4:
            found[name] = torch.cat([tensor, tensor])
        elif kind == 5:
            found[name] = (
                tensor.unsqueeze(0)
                if draw.randrange(2)
                else tensor.T.contiguous()
                if tensor.dim() == 2
                else tensor[0].clone()
            )
        elif kind == 6:
            found[name] = torch.full_like(tensor, draw.choice((float("nan"), float("inf"), 1e30, 0.0)))
        elif kind == 7:
            found[name], found[draw.choice(("extra", "lm_head.weight", "score.weight"))] = tensor, tensor.clone()
        else:
            found[name] = torch.zeros((0, *tensor.shape[1:]))
    save_file(found, path, metadata={"format": draw.choice(("pt", "pt", "pt", "tf", "x"))})


def _header(draw: random.Random, path: Path) -> None:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    kind = draw.randrange(4)
    if kind == 0:
        path.write_bytes(struct.pack("<Q", draw.choice((0, 1, 2**31, 2**63, 2**64 - 1, length + 1))) + data[8:])
        return
    entry = header[draw.choice(names)]
    if kind == 1:
        entry["shape"] = draw.choice(([], [-1], [2**40, 2**40], [0], "x", [1.5], entry["shape"][::-1]))
    elif kind == 2:
        entry["dtype"] = draw.choice(("F64", "I4", "F8_E4M3", "BOOL", "", None, "BF16"))
    else:
        entry["data_offsets"] = draw.choice(([0, 0], [0, 2**62], [8, 4], [-1, 3], [], None))
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def rows(draw: random.Random, path: Path) -> None:
    """A cell, a column, a separator or the header of a file of rows."""
    text = path.read_text(encoding="utf-8")
    found = text.split("\n")
    at = draw.randrange(len(found))
    if path.suffix != ".csv" and draw.randrange(3):
        _json_rows(draw, path, found, at)
        return
    kind = draw.randrange(7)
    if kind == 0:
        found[at] = found[at].replace(",", draw.choice((";", "\t", "|", ",,", "")))
    elif kind == 1:
        found = [line.replace(",", draw.choice((";", "\t"))) for line in found]
    elif kind == 2:
        found.pop(0)
    elif kind == 3:
        found[0] = found[0].replace(
            draw.choice(("text", "label", "sentence1", "tokens", "question")),
            draw.choice(("", "text", "labels", "x", "category")),
        )
    elif kind == 4:
        found[at] = (
            found[at].rpartition(",")[0]
            + ","
            + str(
                draw.choice((*VALUES, "[0, 1]", "1.0", "1.5", "nan", "inf", '"', "sport", "9" * 5000, "1|0", "[1 0]"))
            )
        )
    elif kind == 5:
        found[at] = found[at] * draw.choice((2, 5000))
    else:
        found = found[:1]
    path.write_bytes("\n".join(found).encode("utf-8", "surrogatepass"))


def _json_rows(draw: random.Random, path: Path, found: list[str], at: int) -> None:
    try:
        row = json.loads(found[at])
    except ValueError:
        row = {}
    places = list(_places(row))
    if places:
        _change(draw, *draw.choice(places))
    found[at] = _dumped(row)
    path.write_text("\n".join(found), encoding="utf-8")


def of(draw: random.Random, folder: Path) -> str:
    """Change one file of a folder (now and then two); says which, for the report of a failure."""
    done = []
    for _ in range(draw.choice((1, 1, 1, 2))):
        files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
        if not files:
            break
        path = draw.choice(files)
        kinds = [any_file, *_FITTING.get(path.suffix, (any_file,)) * 3]
        mutation = draw.choice(kinds)
        try:
            mutation(draw, path)
        except Exception:  # an earlier change left no JSON, or no tensors
            mutation = any_file
            if path.is_file():
                path.write_bytes(path.read_bytes()[:-1])
        done.append(f"{mutation.__name__} of {path.relative_to(folder)}")
    return ", ".join(done)


_FITTING: dict[str, tuple[Mutation, ...]] = {
    ".json": (json_value,),
    ".safetensors": (tensors,),
    ".csv": (rows,),
    ".jsonl": (rows,),
}


def structure(draw: random.Random, folder: Path) -> str:
    """A folder that is no longer what it was: a part of another, empty, a file, with things in it that don't belong."""
    kind = draw.choice(("moved", "emptied", "file", "loop", "checkpoint", "beside", "shadowed"))
    inside = sorted(folder.iterdir())
    if kind == "moved":
        below = folder / draw.choice(("snapshots/" + "0" * 40, "checkpoint-500", "0_Transformer", "model"))
        below.mkdir(parents=True)
        for path in inside:
            path.rename(below / path.name)
    elif kind == "checkpoint":
        shutil.copytree(folder, folder.with_name("kept"))
        shutil.move(folder.with_name("kept"), folder / "checkpoint-9")
        for path in inside:
            if path.suffix == ".safetensors":
                path.unlink()
    elif kind == "beside":
        names = (
            "pytorch_model.bin",
            "model.safetensors.index.json",
            "adapter_config.json",
            "manifest.json",
            "spiece.model",
        )
        (folder / draw.choice(names)).write_bytes(draw.choice((b"", b"{}", b"\0" * 40)))
    elif kind == "shadowed":
        path = folder / draw.choice(("modules.json", "config.json", "vocab.txt", "added_tokens.json"))
        path.unlink(missing_ok=True)
        path.mkdir()
    else:
        shutil.rmtree(folder)
        if kind == "emptied":
            folder.mkdir()
        elif kind == "file":
            folder.write_bytes(b"{}")
        else:
            folder.symlink_to(folder.name)
    return f"structure, {kind}"


def copied(source: Path, target: Path) -> Path:
    """A copy to be changed."""
    shutil.copytree(source, target)
    return target


def unlocked(folder: Path) -> None:
    """Let whoever made the copies remove them."""
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o700)
