"""What the labels of a file are: ids, names or 0/1 vectors. One meaning holds for all rows of a file.

A label may be an id, or a name that looks like one ("1" to "5" stars), and [0, 1] may be two ids or a vector. No row
alone tells, so all are asked: a meaning holds where it fits every row. Where none does, or where two do and differ,
the file is refused with both readings named. CSV and JSON are read alike: 1, "1" and 1.0 are one label (a column of
integers with a gap in it is written as floats), 1.5 is none.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..errors import SamplesError
from ..tasks import get_task

_NUMBER = re.compile(r"-?\d{1,15}(\.\d{0,15})?")
_MOST_NAMED = 30


@dataclass(frozen=True)
class Item:
    """One label as it is written, and the number that it may be."""

    text: str
    number: float | None
    is_bool: bool = False

    @property
    def index(self) -> int | None:
        """The id that it may be."""
        if self.number is None or self.is_bool or self.number < 0 or not self.number.is_integer():
            return None
        return int(self.number)


@dataclass(frozen=True)
class Cell:
    """The labels of a row: ``items`` as written, in order."""

    where: str
    value: Any
    items: tuple[Item, ...]


Reading = Callable[[Sequence[Item]], "list[int] | None"]


def decide(cells: Sequence[Cell], task: TaskSpec, column: str, stated: str | None, path: str) -> tuple[str, list[Any]]:
    """The one meaning of a file's labels ("ids" | "names" | "vectors"), and each row's label ids.

    A row gives an int for one label a text, a list of ints for several and for tokens.

    Raises:
        SamplesError: no meaning fits all rows, or two do and differ; naming lines and readings.
    """
    readings = _readings(task)
    if stated is not None:
        readings = {stated: readings[stated]}
    found = {meaning: [reading(cell.items) for cell in cells] for meaning, reading in readings.items()}
    fitting = [meaning for meaning, rows in found.items() if all(row is not None for row in rows)]
    if not fitting:
        raise _unfit(cells, found, task, column, path)
    first = found[fitting[0]]
    for other in fitting[1:]:
        different = next((i for i, row in enumerate(found[other]) if row != first[i]), None)
        if different is not None:
            raise _doubt(cells[different], (fitting[0], other), found, different, task, column, path)
    single = get_task(task).targets == "label"
    return fitting[0], [row[0] if single and row else row for row in first]


def read_cell(value: Any, task: TaskSpec, path: str, where: str) -> Cell | None:
    """A row's labels as items; None for an empty cell. Raises SamplesError for what can be no label."""
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None
    return Cell(where, value, tuple(_item(item, f"{path}, {where}") for item in _parts(value, task)))


def _parts(value: Any, task: TaskSpec) -> Sequence[Any]:
    """The labels that a cell holds: of a list, or of text that stands for one."""
    if isinstance(value, list):
        return value
    if not isinstance(value, str) or value in map(str.strip, task.labels):
        return [value]
    if value[0] in "[(" and value[-1] in "])":
        return _bracketed(value)
    if not task.multi_label:
        return [value]
    if "|" in value:
        return [part for part in value.split("|") if part.strip()]
    parts = [part for part in re.split(r"[,;\n]", value) if part.strip()]
    words = value.replace(",", " ").replace(";", " ").split()
    return words if all(_NUMBER.fullmatch(word) for word in words) else parts


def _bracketed(value: str) -> Sequence[Any]:
    """A list as JSON, Python or numpy write one into a cell."""
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list | tuple):
            return found
    words = value[1:-1].replace(",", " ").split()
    return [word.strip("'\"") for word in words]


def _item(value: Any, where: str) -> Item:
    if isinstance(value, bool):
        return Item(str(value), float(value), is_bool=True)
    if isinstance(value, int | float):
        text = str(value) if isinstance(value, float) or abs(value) < 10**18 else "a number of many digits"
        return Item(text, float(value) if abs(value) < 10**18 else None)
    if isinstance(value, str):
        text = value.strip()
        return Item(text, float(text) if _NUMBER.fullmatch(text) else None)
    raise SamplesError(f"samples {where}: a label is a name or a number, got {value!r:.60}")


def _readings(task: TaskSpec) -> dict[str, Reading]:
    width = len(task.labels)
    by_name = {label.strip(): index for index, label in enumerate(task.labels)}
    single = get_task(task).targets == "label"
    tokens = get_task(task).targets == "word labels"

    def all_of(found: Sequence[int | None]) -> list[int] | None:
        whole = [index for index in found if index is not None and 0 <= index < width]
        if len(whole) < len(found) or (single and len(found) != 1):
            return None
        if tokens:
            return whole
        return sorted(whole) if len(set(whole)) == len(whole) else None

    def name(item: Item) -> int | None:
        return by_name.get(item.text, None if item.index is None else by_name.get(str(item.index)))

    def vector(items: Sequence[Item]) -> list[int] | None:
        if len(items) != width or any(item.number not in (0.0, 1.0) for item in items):
            return None
        hot = [index for index, item in enumerate(items) if item.number == 1]
        return hot if not single or len(hot) == 1 else None

    readings: dict[str, Reading] = {
        "ids": lambda items: all_of([item.index for item in items]),
        "names": lambda items: all_of([name(item) for item in items]),
    }
    return readings if tokens else {**readings, "vectors": vector}


def _doubt(
    cell: Cell, meanings: tuple[str, str], found: Mapping[str, Sequence[list[int] | None]], row: int,
    task: TaskSpec, column: str, path: str,
) -> SamplesError:  # fmt: skip
    said = []
    for meaning in meanings:
        labels = [task.labels[index] for index in found[meaning][row] or ()]
        said.append(f"as {meaning} it is {', '.join(map(repr, labels)) or 'none of the labels'}")
    return SamplesError(
        f"samples {path}, {cell.where}: {column} {cell.value!r:.60} can be read in two ways, and every row allows "
        f"both: {'; '.join(said)}. Name the column label_{meanings[0]} or label_{meanings[1]} to say which"
    )


def _unfit(
    cells: Sequence[Cell], found: Mapping[str, Sequence[list[int] | None]], task: TaskSpec, column: str, path: str
) -> SamplesError:
    """Why no meaning fits: a row that has none, or rows that differ in it."""
    nameless = _nameless(cells, task, path)
    if nameless:
        return nameless
    by_row = [{meaning for meaning, rows in found.items() if rows[index] is not None} for index in range(len(cells))]
    lost = next((cell for cell, meanings in zip(cells, by_row, strict=True) if not meanings), None)
    if lost is not None:
        return SamplesError(f"samples {path}, {lost.where}: {_reason(lost, task, column)}")
    # the first row that leaves no meaning, and the first that can't be what it still could be
    left, second = set(found), 0
    for index, meanings in enumerate(by_row):
        if not left & meanings:
            second = index
            break
        left &= meanings
    first = next((index for index, meanings in enumerate(by_row) if not by_row[second] & meanings), 0)
    return SamplesError(
        f"samples {path}: {column} has no one meaning: {_reads(cells[first], by_row[first])}, "
        f"{_reads(cells[second], by_row[second])}. Write all rows one way"
    )


def _reads(cell: Cell, meanings: set[str]) -> str:
    return f"{cell.where} ({cell.value!r:.40}) holds {' or '.join(sorted(meanings))}"


def _nameless(cells: Sequence[Cell], task: TaskSpec, path: str) -> SamplesError | None:
    """Where the model's labels have no names and the rows' have: the line to paste."""
    if any(label != f"LABEL_{index}" for index, label in enumerate(task.labels)):
        return None
    names = sorted({item.text for cell in cells for item in cell.items})
    if not names or any(item.number is not None for cell in cells for item in cell.items):
        return None
    if any(name in task.labels for name in names):
        return None
    width = len(task.labels)
    listed = ", ".join(names[:_MOST_NAMED]) + (
        f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    )
    advice = (
        f"Add --labels {','.join(names)} if training numbered them in this order (here it is the alphabet's); another "
        "order gives wrong results"
        if len(names) == width
        else f"Name all {width} with --labels, in the order of training"
    )
    return SamplesError(
        f"samples {path}, {cells[0].where}: the rows hold {len(names)} names ({listed}), but the model's {width} "
        f"outputs have none ({task.labels[0]}, …). {advice}"
    )


def _reason(cell: Cell, task: TaskSpec, column: str) -> str:
    """What is wrong with a row that fits no meaning."""
    width = len(task.labels)
    for item in cell.items:
        if item.number is not None and not item.is_bool and not item.number.is_integer():
            more = "; soft labels are not read: give 0 or 1" if 0 < item.number < 1 else ""
            return f"label {item.text} is no label: expected an id below {width}, a name, or 0 and 1{more}"
    several = [item for item in cell.items if item.number in (0.0, 1.0)]
    if len(cell.items) > 1 and len(several) == len(cell.items) and len(cell.items) != width:
        return f"{column} {cell.value!r:.60}: {len(several)} numbers of 0 and 1, expected {width}, one for each label"
    if len(cell.items) != 1 and get_task(task).targets == "label":
        return (
            f"{column} {cell.value!r:.60}: {len(cell.items)} labels, and the model gives one a text. A model that "
            "gives several says problem_type multi_label_classification in its config.json"
        )
    names = {label.strip() for label in task.labels}
    wrong = next((i for i in cell.items if i.text not in names and (i.index is None or i.index >= width)), None)
    if wrong is None:
        return f"{column} {cell.value!r:.60}: a label is named twice, or names stand beside ids"
    folded = next((label for label in task.labels if label.strip().casefold() == wrong.text.casefold()), None)
    shown = cell.value if len(cell.items) == 1 and not isinstance(cell.value, list) else wrong.text
    listed = ", ".join(task.labels[:_MOST_NAMED]) + (", …" if width > _MOST_NAMED else "")
    hint = f". The model writes it {folded!r}" if folded is not None else ""
    if wrong.number is not None and wrong.number < 0:
        hint = ". Files of tests often hold -1 where a label is withheld: such rows can't be judged"
    return f"label {shown!r:.60} is none of the model's: {listed} (or an index below {width}){hint}"
