"""The section of report.html with examples: small pictures of the rows' files beside what each model says of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeformer_runtime.errors import InputError
from edgeformer_runtime.preprocess.image_decode import decode_image

from . import wording
from .blocks import Block, Cell, Section, Table, Text

SIDE = 96
_QUALITY = 75
_HERE = (
    "The pictures are small copies of evaluation files, in this page alone. Nothing sends it to a device, but a packed "
    "bundle holds it: 'edgeformer report BUNDLE -o BUNDLE/report.html' writes it without them."
)
_NOT_HERE = "The pictures themselves are only in the report.html that the compile wrote."


def thumbnails(report: Mapping[str, Any], files: Mapping[int, Path]) -> dict[int, Cell | Text]:
    """{row: its small picture, or why there is none} for the examples of ``report``; ``files`` by row, from 1."""
    found = report.get("examples") or {}
    if found.get("of") != "pictures":
        return {}
    return {item["row"]: _thumbnail(files[item["row"]], item["file"]) for item in found["rows"] if item["row"] in files}


def _thumbnail(file: Path, name: str) -> Cell | Text:
    try:
        return Cell(f"Picture {name}", picture=_data_uri(decode_image(file, name)))
    except InputError as error:
        return Text(f"Not shown: {error}.", missing=True)


def _data_uri(pixels: NDArray[np.uint8]) -> str:
    """The smaller one of a JPEG and a PNG of at most SIDE x SIDE, which hold nothing but the pixels."""
    from PIL import Image

    small = Image.fromarray(pixels)
    small.thumbnail((SIDE, SIDE))
    made = {}
    for kind, settings in (("jpeg", {"quality": _QUALITY}), ("png", {"optimize": True})):
        buffer = io.BytesIO()
        small.save(buffer, kind, **settings)
        made[kind] = buffer.getvalue()
    kind = min(made, key=lambda key: len(made[key]))
    return f"data:image/{kind};base64,{base64.b64encode(made[kind]).decode('ascii')}"


def examples(report: Mapping[str, Any], pictures: Mapping[int, Cell | Text]) -> Section:
    """Rows in the order of report.json; ``pictures`` as ``thumbnails`` gives them, {} where files aren't at hand."""
    found = report.get("examples") or {"reason": "they were not noted"}
    if not found.get("rows"):
        return Section("examples", "Examples", [Text(f"No examples: {found['reason']}.", missing=True)])
    names = list(found["rows"][0]["variants"])
    header = (*(("picture",) if pictures else ()), "file", "label", "uncompressed", *names)
    rows = [
        (
            *([_pictured(pictures[item["row"]])] if pictures else ()),
            str(item["file"]),
            _words(item["target"]),
            _words(item["uncompressed"]),
            *(
                Cell(f"≠\u00a0{_words(said)}", strong=True) if name in item["otherwise"] else _words(said)
                for name, said in item["variants"].items()
            ),
        )
        for item in found["rows"]
    ]
    caption = (
        f"{len(rows)} of {found['samples']} evaluation rows. Of {found['otherwise'] or 'none'} a variant says "
        "otherwise than the uncompressed model (bold, with ≠): such rows come first, the others are spread over the "
        "labels. Per cent: the score of what is said."
    )
    blocks: list[Block] = [Table(header, rows, texts=len(header), caption=caption)]
    blocks += [item for item in pictures.values() if isinstance(item, Text)]
    if found["of"] == "pictures":
        blocks.append(Text(_HERE if pictures else _NOT_HERE))
    return Section("examples", "Examples", blocks)


def _pictured(found: Cell | Text) -> str | Cell:
    return found if isinstance(found, Cell) else "not shown"


def _words(said: Mapping[str, Any] | None) -> str:
    """Labels, with their score where there is one, or a number."""
    if said is None:
        return "nothing: NaN or infinity"
    if "value" in said:
        return wording.number(said["value"])
    score = " " + wording.percent(said["score"], 1).replace(" ", "\u00a0") if "score" in said else ""
    return (", ".join(map(str, said["labels"])) or "no label") + score
