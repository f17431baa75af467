"""The folder that MODEL names, or else the one that was probably meant.

Hugging Face keeps a model under ``models--ORG--NAME/snapshots/<revision>``, a Trainer leaves ``checkpoint-500`` beside
its logs, and a model's name on the hub is no folder at all. What isn't a model is refused with the folder to give in
its place; nothing is guessed, since a wrong model compiles as well as the right one.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import ModelError

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")  # of old models there is no ORG
_MOST_SEEN = 200  # entries of a folder that are looked at: somebody may give a home directory
_MOST_NAMED = 3
_ENOUGH = "Give a folder with config.json and model.safetensors"


def model_directory(given: str | os.PathLike[str]) -> Path:
    """The folder, where it may be a model's.

    Raises:
        ModelError: it isn't there or is something else, with what it is and what was probably meant.
    """
    path = Path(given)
    if not path.is_dir():
        raise ModelError(_file(path) if path.is_file() else _missing(path))
    if (path / "adapter_config.json").is_file() and not (path / "config.json").exists():
        raise ModelError(f"model {path}: is a peft adapter, not a model: edgeformer compile BASE --adapter {path}"
                         f"{_base_of(path)}")  # fmt: skip
    if (path / "config.json").exists() or (path / "modules.json").exists():
        weights = _has_weights(path) or any(path.glob("*.bin")) or (path / "modules.json").exists()
        likely = [] if weights else list(_below(path))
        if likely:
            raise ModelError(f"model {path}: has a config.json and no weights{_named(likely)}")
        return path
    if (path / "manifest.json").is_file() and (path / "variants").is_dir():
        raise ModelError(f"model {path}: is a bundle, which a compile has made already: look at it with "
                         "edgeformer inspect or verify, and compile the model that it came from")  # fmt: skip
    raise ModelError(f"model {path}: no config.json there{_named(list(_near(path)))}")


def _file(path: Path) -> str:
    if path.suffix == ".zip":
        return (
            f"model {path}: is a .zip, expected a folder: unpack a model first; of a bundle, edgeformer inspect tells"
        )
    if path.suffix == ".gguf":
        return f"model {path}: is a GGUF file, expected a folder as transformers saves it. {_ENOUGH}"
    if path.suffix in (".onnx", ".tflite", ".mlpackage"):
        return f"model {path}: is exported already, and can't be compressed from there. {_ENOUGH}"
    likely = [path.parent] if _is_model(path.parent) else []
    return f"model {path}: is a file, expected a folder{_named(likely)}"


def _missing(path: Path) -> str:
    text = str(path)
    if path.is_symlink():
        return f"model {path}: is a link to {path.readlink()}, which isn't there"
    likely = _misspelt(path)
    is_name = _HUB_NAME.fullmatch(text) is not None and not likely
    cached = list(_snapshots(_cache() / f"models--{text.replace('/', '--')}")) if is_name else []
    if cached:
        return f"model {path}: no such directory, but a model of this name was downloaded before{_named(cached)}"
    if not is_name or "/" not in text or path.parent.is_dir():
        return f"model {path}: no such directory{_named(likely)}"
    return (
        f"model {path}: no such directory. It looks like a name on Hugging Face's hub, and nothing is fetched from "
        f"there: hf download {text} --local-dir {path.name}, then give {path.name}"
    )


def _near(path: Path) -> Iterator[Path]:
    """Models below a folder, else the one that it is a part of."""
    found = list(dict.fromkeys((*_snapshots(path), *_below(path))))
    yield from found or ([path.parent] if _is_model(path.resolve().parent) else [])


def _below(path: Path) -> Iterator[Path]:
    """Models in subfolders, the last checkpoint first, down to the snapshots of a cache."""
    folders = _folders(path)
    for folder in folders:
        if _is_model(folder):
            yield folder
    for folder in folders:
        yield from _snapshots(folder)


def _snapshots(path: Path) -> Iterator[Path]:
    """Revisions of a repository in the hub's cache, the one that ``main`` means first."""
    snapshots = path if path.name == "snapshots" else path / "snapshots"
    try:
        main = (snapshots.parent / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        main = ""
    found = [folder for folder in _folders(snapshots) if _is_model(folder)]
    yield from sorted(found, key=lambda folder: folder.name != main)


def _folders(path: Path) -> list[Path]:
    """Subfolders: checkpoints from the last to the first, then others by name."""
    try:
        entries = [Path(entry) for entry, _ in zip(os.scandir(path), range(_MOST_SEEN), strict=False) if entry.is_dir()]
    except OSError:
        return []

    def order(folder: Path) -> tuple[int, str]:
        step = re.fullmatch(r"checkpoint-(\d{1,12})", folder.name)
        return (-int(step[1]) if step else 1, folder.name)

    return sorted(entries, key=order)


def _is_model(path: Path) -> bool:
    return (path / "config.json").is_file() and _has_weights(path)


def _has_weights(path: Path) -> bool:
    return any((path / name).is_file() for name in _WEIGHTS)


def _misspelt(path: Path) -> list[Path]:
    folders = {folder.name: folder for folder in _folders(path.parent)}
    return [folders[name] for name in difflib.get_close_matches(path.name, folders, n=1) if _is_model(folders[name])]


def _cache() -> Path:
    """Where the hub's downloads lie, as huggingface_hub decides it."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name])
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(home) / "hub"


def _base_of(adapter: Path) -> str:
    try:
        base = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
    return f" (it was trained on {base})" if isinstance(base, str) and base else ""


def _named(likely: list[Path]) -> str:
    if not likely:
        return f". {_ENOUGH}"
    more = f" (or {', '.join(map(str, likely[1:_MOST_NAMED]))})" if len(likely) > 1 else ""
    return f". Did you mean {likely[0]}{more}?"
