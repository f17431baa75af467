"""The engines that run a bundle in a browser, and which files of their npm packages a page needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..apps.web import WEB
from ..errors import InputError

_MAX_PACKAGE_BYTES = 1 << 20  # of a package.json


@dataclass(frozen=True)
class WebEngine:
    """``files``: path in the engine's folder of the page, and path below node_modules. ``in_one_file``: those that a
    page without a server needs, which can't have threads. ``replaced``: a text of a file, and what it becomes.
    """

    package: str
    files: Mapping[str, str]
    in_one_file: tuple[str, ...]
    replaced: Mapping[str, tuple[str, str]]


_ORT = "onnxruntime-web/dist/"
_LITERT = "@litertjs/core/"
_LITERT_WASM = tuple(
    f"wasm/litert_wasm_{kind}internal.{ending}" for kind in ("", "compat_", "threaded_") for ending in ("js", "wasm")
)
ENGINES: Mapping[str, WebEngine] = {
    "onnxruntime": WebEngine(
        "onnxruntime-web",
        {name: _ORT + name for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")},
        ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
        {},
    ),
    "litert": WebEngine(
        "@litertjs/core",
        {
            "index.js": _LITERT + "dist/index.js",
            "wasm-utils.js": "@litertjs/wasm-utils/dist/index.js",
            **{name: _LITERT + name for name in _LITERT_WASM},
        },
        ("index.js", "wasm-utils.js", *(name for name in _LITERT_WASM if "threaded" not in name)),
        {"index.js": ('"@litertjs/wasm-utils"', '"./wasm-utils.js"')},  # a browser resolves no names of packages
    ),
}


@dataclass(frozen=True)
class FoundEngine:
    """An engine's version, and the content of its files by path in the page's folder of the engine."""

    version: str
    content: Mapping[str, bytes]


def find_engine(name: str, folder: Path, one_file: bool) -> FoundEngine:
    """The files of engine ``name`` below ``folder``, where npm installed them; raises InputError saying how."""
    engine = ENGINES[name]
    modules = folder if folder.name == "node_modules" else folder / "node_modules"
    tried = next(item.version for item in WEB.engines if item.name == name)
    install = f"npm install --prefix {folder} --ignore-scripts {engine.package}@{tried}"
    try:
        version = _version(modules / engine.package / "package.json")
        content = {
            path: (modules / source).read_bytes()
            for path, source in engine.files.items()
            if not one_file or path in engine.in_one_file
        }
    except (OSError, ValueError) as error:
        raise InputError(
            f"--engines {folder}: expected the npm package {engine.package} in it ({error}): run `{install}`"
        ) from error
    for path, (old, new) in engine.replaced.items():
        text = content[path].decode("utf-8")
        if old not in text:
            raise InputError(
                f"--engines {folder}: {engine.package} {version}: expected {old} in its {path}: run `{install}`"
            )
        content[path] = text.replace(old, new).encode("utf-8")
    return FoundEngine(version, content)


def _version(path: Path) -> str:
    if path.stat().st_size > _MAX_PACKAGE_BYTES:
        raise ValueError(f"{path} has more than {_MAX_PACKAGE_BYTES} bytes")
    value = json.loads(path.read_text("utf-8"))
    version = value.get("version") if isinstance(value, dict) else None
    if not isinstance(version, str):
        raise ValueError(f"{path} names no version")
    return version
