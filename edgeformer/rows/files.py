"""From a file's bytes to rows with named columns: CSV with a header, JSON lines, or one JSON list.

A CSV's separator is the one among comma, semicolon, tab and bar that gives its header the most names that are known
here; what a spreadsheet exports in Europe is separated by semicolons and still called .csv.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SamplesError
from .columns import known

_JSON, _CSV = (".jsonl", ".json", ".ndjson"), (".csv", ".tsv")
_SEPARATORS = (",", ";", "\t", "|")
_CONVERT = {
    ".parquet": "pandas.read_parquet",
    ".arrow": "pandas.read_feather",
    ".feather": "pandas.read_feather",
    ".xlsx": "pandas.read_excel",
    ".xls": "pandas.read_excel",
    ".pkl": "pandas.read_pickle",
    ".pickle": "pandas.read_pickle",
}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Row:
    """The cells of one row by column, and where it stands in its file ("line 3" | "row 3")."""

    where: str
    cells: Mapping[str, Any]


def read_bytes(path: Path) -> bytes:
    """The file's bytes; raises SamplesError where it can't be read, or is a table of another kind."""
    suffix = path.suffix.lower()
    if path.is_dir():
        raise SamplesError(
            f"samples {path}: is a folder, expected a file of rows. A data set that was saved with save_to_disk "
            f"becomes one by datasets.load_from_disk({str(path)!r}).to_json('rows.jsonl')"
        )
    if suffix in _CONVERT:
        raise SamplesError(
            f"samples {path}: {suffix} is not read here: expected .csv, .tsv, .jsonl or .json. Convert it: "
            f"{_CONVERT[suffix]}({path.name!r}).to_json({path.stem + '.jsonl'!r}, orient='records', lines=True)"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise SamplesError(f"samples {path}: can't be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise SamplesError(f"samples {str(path)!r}: can't be read: {error}") from error


def rows_of(path: Path, data: bytes) -> Iterator[Row]:
    """Every row that holds anything; raises SamplesError naming the line that is malformed."""
    suffix = path.suffix.lower()
    if suffix not in _JSON + _CSV:
        raise SamplesError(f"samples {path}: {path.suffix!r} is unknown: expected .csv, .tsv or .jsonl")
    text = _decoded(path, data)
    if suffix in _CSV:
        yield from _csv_rows(path, text, "\t" if suffix == ".tsv" else ",")
    elif text.lstrip()[:1] == "[":
        yield from _json_list(path, text)
    else:
        yield from _json_lines(path, text)


def _decoded(path: Path, data: bytes) -> str:
    if data[:2] in _UTF16:
        raise SamplesError(f"samples {path}, line 1: UTF-16 text, expected UTF-8. Save it as UTF-8 (in a spreadsheet: "
                           "'CSV UTF-8')")  # fmt: skip
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SamplesError(f"samples {path}, line {line}: not UTF-8 text: {error.reason}") from error


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        value = _parsed(line, f"samples {path}, line {number}")
        yield _json_row(value, path, f"line {number}")


def _json_list(path: Path, text: str) -> Iterator[Row]:
    first = text.lstrip().split("\n", 1)[0]
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        # a file of lines, each a list: the line is named, as for other things that are no rows
        yield _json_row(_parsed(first, f"samples {path}, line 1"), path, "line 1")
        return
    for number, value in enumerate(values, start=1):
        yield _json_row(value, path, f"row {number}")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise SamplesError(f"{where}: not valid JSON here: nested too deeply") from error
    except ValueError as error:
        what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        hint = "" if text.strip() not in ("{", "[") else '. Each line holds one whole object: {"text": …}'
        raise SamplesError(f"{where}: not valid JSON: {what}{hint}") from error


def _json_row(value: Any, path: Path, where: str) -> Row:
    if not isinstance(value, dict):
        raise SamplesError(f"samples {path}, {where}: expected a JSON object, got {type(value).__name__}")
    if len(value) > 1 and all(isinstance(cell, dict) for cell in value.values()):
        raise SamplesError(
            f"samples {path}, {where}: one object for the whole table, a column at a time; expected one object a row: "
            "to_json(…, orient='records', lines=True)"
        )
    return Row(where, value)


def _csv_rows(path: Path, text: str, usual: str) -> Iterator[Row]:
    header: list[str] | None = None
    # the module's limit on a cell is for all of the process; a long document may well be longer
    before = csv.field_size_limit(max(len(text) + 1, 131_072))
    try:
        separator = _separator(text, usual)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue  # an empty line, or a spreadsheet's row of separators
            line = f"line {reader.line_num}"
            if header is None:
                header = _header(cells, path)
                continue
            if len(cells) != len(header):
                raise SamplesError(
                    f"samples {path}, {line}: expected {len(header)} columns, as the header has, got {len(cells)} "
                    f"(separated by {separator!r}; text that holds it stands in quotes)"
                )
            yield Row(line, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise SamplesError(f"samples {path}, line {reader.line_num}: malformed CSV: {error}") from error
    finally:
        csv.field_size_limit(before)


def _header(cells: list[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SamplesError(f"samples {path}, line 1: the header names {twice[0]!r:.60} twice")
    return names


def _separator(text: str, usual: str) -> str:
    """The separator that gives the first line the most known names; the usual one where that is undecided."""
    best, most = usual, 0
    for separator in (usual, *_SEPARATORS):
        try:
            cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
        except csv.Error:
            continue
        found = sum(known(cell) for cell in cells)
        if found > most:
            best, most = separator, found
    return best
