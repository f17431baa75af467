"""report.html from report.json: one file that reads offline, without scripts, in light and dark.

The template escapes every text (autoescape): names of models, layers and labels are data, whatever they hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from . import sections, sections_of_layers
from .blocks import Cell, Text
from .sections_of_examples import examples

_RESULTS = (sections.asked, sections.before_after)
_DETAILS = (
    sections.variants,
    sections.frontier,
    sections_of_layers.bits,
    sections_of_layers.pruning,
    sections_of_layers.sensitivity,
    sections_of_layers.passes,
    sections_of_layers.stages,
    sections_of_layers.repeat,
)
_FOLDER = Path(__file__).parent


def render_html(report: Mapping[str, Any], pictures: Mapping[int, Cell | Text] | None = None) -> str:
    """The page. ``report`` is what report.json holds; a section without data says why.

    ``pictures``: those of the examples, as ``sections_of_examples.thumbnails`` makes them.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: ``report`` isn't of report.json's form.
    """
    task = report.get("task") or {}
    return _template().render(
        title=str(report.get("model") or "a model"),
        task=str(task.get("name") or "unknown task"),
        labels=[str(label) for label in task.get("labels", ())],
        producer=str(report.get("producer") or ""),
        created_at=str(report.get("created_at") or ""),
        style=(_FOLDER / "report.css").read_text(encoding="utf-8"),
        sections=[
            *(make(report) for make in _RESULTS),
            examples(report, pictures or {}),
            *(make(report) for make in _DETAILS),
        ],
    )


def page(template: str, **data: Any) -> str:
    """A page from another template of this folder, with the same style and the same escaping."""
    return _template(template).render(style=(_FOLDER / "report.css").read_text(encoding="utf-8"), **data)


@cache
def _template(name: str = "report.html.jinja") -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
