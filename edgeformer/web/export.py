"""Writing the page: a folder for a web server, or one file that a browser opens without any."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.manifest import Manifest, VariantEntry
from edgeformer_runtime.bundle.names import MANIFEST_NAME, SIGNATURE_NAME
from edgeformer_runtime.files.durable import write_replacing

from ..apps.needs import needed_files
from ..errors import InputError
from .engines import ENGINES, find_engine

FILES = Path(__file__).parent / "files"
PAGE, SCRIPT, LIBRARY = "page.html", "page.js", "edgeformer-web.js"
MARK = "edgeformer-page.json"  # in a folder that was written here, which may be replaced
# Scripts come with the page. It fetches from its own server alone, or in one file from nowhere: what is entered stays.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src blob: data:; base-uri 'none'; form-action 'none'; "
    "script-src blob: 'wasm-unsafe-eval' {}"
)
_SERVED = _POLICY.format("'self'; connect-src 'self'; worker-src 'self' blob:")
_ONE_FILE = _POLICY.format("'unsafe-inline'; connect-src blob: data:; worker-src blob:")


@dataclass(frozen=True)
class Page:
    """What was written: ``output``, its size, the variants that it can run, the engines' versions by name."""

    output: Path
    bytes: int
    variants: tuple[str, ...]
    engines: Mapping[str, str]


def export_web(bundle: Bundle, output: Path, engines: Path, wanted: Sequence[str] = (), one_file: bool = False) -> Page:
    """Write ``bundle`` as a page to ``output``, a folder, or with ``one_file`` an .html file.

    ``engines``: where npm installed them. ``wanted``: names of variants; () is every one that a browser can run, with
    ``one_file`` the smallest of them. Raises InputError for what can't be exported, or where something is in the way.
    """
    _check_output(output, one_file)
    manifest = bundle.manifest
    variants = _variants(manifest, wanted, one_file)
    found = {name: find_engine(name, engines, one_file) for name in dict.fromkeys(item.engine for item in variants)}
    paths = [entry.path for entry in needed_files(manifest, variants)]
    content = {f"bundle/{path}": bundle.read(path) for path in paths}
    for name in (MANIFEST_NAME, SIGNATURE_NAME):
        if (bundle.path / name).is_file():
            content[f"bundle/{name}"] = (bundle.path / name).read_bytes()
    for name, engine in found.items():
        content.update({f"engines/{name}/{path}": data for path, data in engine.content.items()})
    versions = {name: engine.version for name, engine in found.items()}
    config = {
        "embedded": one_file,
        "engines": versions,
        "variants": [item.name for item in variants],
        "labels": len(manifest.task.labels),
    }
    if one_file:
        _write_file(output, _page(manifest, config, content).encode("utf-8"))
    else:
        script = (FILES / SCRIPT).read_bytes()
        page = _page(manifest, config).encode("utf-8")
        mark = json.dumps(config, indent=1).encode("utf-8")
        library = (FILES / LIBRARY).read_bytes()
        _write_folder(output, {**content, "index.html": page, SCRIPT: script, LIBRARY: library, MARK: mark})
    written = [output] if one_file else [path for path in output.rglob("*") if path.is_file()]
    return Page(output, sum(path.stat().st_size for path in written), tuple(item.name for item in variants), versions)


def _variants(manifest: Manifest, wanted: Sequence[str], one_file: bool) -> list[VariantEntry]:
    for name in wanted:
        if manifest.variant(name).engine not in ENGINES:
            raise InputError(f"--variant {name}: is made for {manifest.variant(name).engine}, which no browser has")
    usable = [item for item in manifest.variants if item.engine in ENGINES and (not wanted or item.name in wanted)]
    if not usable:
        names = ", ".join(item.name for item in manifest.variants)
        raise InputError(
            f"bundle {manifest.name!r}: none of its variants ({names}) runs in a browser: compile it with --format onnx"
        )
    if one_file and not wanted:
        return [min(usable, key=lambda item: item.size_bytes)]
    return usable


def _page(manifest: Manifest, config: Mapping[str, object], content: Mapping[str, bytes] | None = None) -> str:
    """index.html; with ``content`` the whole page, script and files inside."""
    script, files = '<script src="./page.js"></script>', ""
    if content is not None:
        code = (FILES / SCRIPT).read_text("utf-8").replace("</script", "<\\/script")
        script = f'<script id="edgeformer-script">{code}</script>'
        files = "\n".join(_embedded(path, data) for path, data in content.items())
    values = {
        "POLICY": _SERVED if content is None else _ONE_FILE,
        "TITLE": html.escape(manifest.name),
        "CONFIG": json.dumps(config).replace("<", "\\u003c"),
        "FILES": files,
        "SCRIPT": script,
    }
    # In one pass: what is put in may hold such a mark itself.
    return re.sub(r"%([A-Z]+)%", lambda found: values[found[1]], (FILES / PAGE).read_text("utf-8"))


def _embedded(path: str, data: bytes) -> str:
    packed = base64.b64encode(gzip.compress(data, 9, mtime=0)).decode("ascii")
    return f'<script type="application/octet-stream" data-path="{html.escape(path)}">{packed}</script>'


def _check_output(output: Path, one_file: bool) -> None:
    if output.is_symlink():
        raise InputError(f"output {output}: is a symbolic link: give the path that it points to")
    if one_file:
        if output.suffix != ".html" or output.is_dir():
            raise InputError(f"output {output}: expected the name of an .html file for --single-file")
    elif output.exists() and not (output.is_dir() and ((output / MARK).is_file() or not any(output.iterdir()))):
        raise InputError(f"output {output}: is there and no page of ours: choose another path, or empty it")


def _write_file(output: Path, content: bytes) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
        write_replacing(output, content, Path(folder, output.name))


def _write_folder(output: Path, content: Mapping[str, bytes]) -> None:
    """The folder whole: what was there is replaced once everything is written."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
        staged = Path(folder, "new")
        for path, data in content.items():
            target = staged / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        if output.exists():
            output.rename(Path(folder, "old"))
        staged.rename(output)
