"""Writing and reading the two files of a report: report.json holds the facts, report.html shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.names import MAX_REPORT_BYTES

from ..errors import InputError
from .html import render_html
from .sections_of_examples import thumbnails

JSON_NAME, HTML_NAME = "report.json", "report.html"


def write_report(directory: Path, report: Mapping[str, Any], files: Mapping[int, Path]) -> None:
    """Write report.json and the report.html made from it, with small pictures of some of ``files``.

    ``files``: those that the evaluation's rows name, by row, from 1. Raises ValueError for what JSON can't hold.
    """
    text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    (directory / JSON_NAME).write_text(text, encoding="utf-8")
    # from the text, not from ``report``: what a file of a bundle shows is what its JSON says
    (directory / HTML_NAME).write_text(render_html(json.loads(text), thumbnails(report, files)), encoding="utf-8")


def read_report(path: Path) -> dict[str, Any]:
    """The report of a bundle (directory or .zip), or of a report.json.

    Raises:
        InputError: nothing is there, it is no report, or it describes another bundle than the one it lies in.
        RuntimeBundleError: the bundle is damaged.
    """
    if path.is_dir() or path.suffix == ".zip":
        with Bundle.open(path) as bundle:
            report = _read(bundle.path / JSON_NAME)
            described = report.get("bundle_digest")
            if described != bundle.digest:
                raise InputError(
                    f"{path}: its {JSON_NAME} describes the bundle {described}, this one is {bundle.digest}: the "
                    "report isn't covered by the bundle's hashes and was left from another compile"
                )
            return report
    return _read(path)


def html_of(report: Mapping[str, Any], path: Path) -> str:
    """report.html of a report that was read from ``path``; raises InputError where its content is of other types."""
    try:
        return render_html(report)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not a report as edgeformer writes it ({type(error).__name__}: {error}): "
            "take report.json as 'edgeformer compile' left it"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_REPORT_BYTES:
            raise InputError(f"{path}: has more than {MAX_REPORT_BYTES} bytes: expected a report.json")
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such report: give a bundle, or the report.json of one") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}: expected a report.json") from error
    version = report.get("format_version") if isinstance(report, dict) else None
    if version != 1:
        raise InputError(f"{path}: format_version {version!r}: this edgeformer reads reports of version 1")
    found: dict[str, Any] = report
    return found
