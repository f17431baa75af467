"""What a section of report.html is made of. Texts are plain, the template escapes them; ``Figure.svg`` is markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A paragraph; ``missing`` for one that says why something isn't there."""

    text: str
    missing: bool = False
    kind: str = "text"


@dataclass(frozen=True)
class Cell:
    """A cell with a bar behind its text, ``bar`` being its length as a share, or with a picture that the text tells of.

    ``picture``: a data: URI of our own making.
    """

    text: str
    bar: float | None = None
    strong: bool = False
    picture: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of texts or Cells. The first ``texts`` columns are words, the others figures, set to the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    texts: int = 1
    caption: str = ""
    folded: str = ""  # a long table lies behind this line until it is opened
    kind: str = "table"


@dataclass(frozen=True)
class Figure:
    """An <svg> element drawn by ``plots``, and what it shows in words."""

    svg: str
    caption: str
    kind: str = "figure"


@dataclass(frozen=True)
class Code:
    """Text to copy, such as a recipe."""

    text: str
    caption: str = ""
    folded: str = ""
    kind: str = "code"


Block = Text | Table | Figure | Code


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it. ``id`` is a fixed word, never taken from data."""

    id: str
    title: str
    blocks: Sequence[Block]
