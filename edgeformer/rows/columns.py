"""Which column of a file is the text, which the second text, and which says what should come out.

Names are compared without case and surrounding spaces. The names are those of the data sets that people have: GLUE's
sentence1/sentence2, premise/hypothesis, question1/question2 and question/sentence; text_a/text_b; query/passage. Two
columns that could both be meant are refused: which of them counts is not guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..errors import SamplesError
from ..tasks import get_task
from ..tasks.base import Targets

TEXT = ("text", "sentence", "sentence1", "text1", "text_a", "question", "question1", "premise", "query")
PAIR = ("text_pair", "sentence2", "text2", "text_b", "context", "question2", "hypothesis", "passage", "document")
CAPTION = ("caption", "text", "sentence", "description")
TOKENS = ("tokens", "words")
FILE = ("image", "audio", "file", "path", "file_name", "filename", "image_path", "audio_path", "file_path")
LABEL = ("label", "labels", "target", "category", "class", "gold_label")
# columns whose name states what they hold; only where none of the above is there
STATED = {
    "label_id": "ids",
    "label_ids": "ids",
    "label_name": "names",
    "label_names": "names",
    "label_vector": "vectors",
    "label_vectors": "vectors",
}
_TARGETS: dict[Targets, tuple[str, ...]] = {
    "label": LABEL,
    "labels": LABEL,
    "number": LABEL,
    "word labels": ("labels", "label", "tags", "ner_tags"),
    "answers": ("answers", "answer"),
    "score": ("score",),
    "text": (),  # the row's own
}
_INPUTS = {
    "words": ("text", TOKENS),
    "image": ("picture", FILE),
    "audio": ("sound", FILE),
    "image and text": ("picture", FILE),
}
_MOST_NAMED = 20
_ALL_TARGETS = (name for names in _TARGETS.values() for name in names)
_KNOWN = frozenset((*TEXT, *PAIR, *CAPTION, *TOKENS, *FILE, *STATED, *_ALL_TARGETS))


@dataclass(frozen=True)
class Columns:
    """Names as the file has them. ``vector`` are columns of 0 and 1, one a label, in the labels' order."""

    text: str
    pair: str | None = None
    target: str | None = None
    stated: str | None = None  # "ids" | "names" | "vectors" where the column's name says so
    vector: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def known(name: str) -> bool:
    """Whether any task reads a column of this name."""
    return _folded(name) in _KNOWN


def has_second_text(names: Sequence[str]) -> bool:
    """Whether a file with these columns holds two texts a row."""
    folded = {_folded(name) for name in names}
    return bool(folded & set(PAIR)) or {"question", "sentence"} <= folded


def choose_columns(names: Sequence[str], task: TaskSpec, path: str) -> Columns:
    """The columns that ``task`` reads; raises SamplesError where there is none, or more than one, for the text."""
    wanted = get_task(task)
    if wanted.reads == "words":
        text, pair = _only(names, TOKENS, "the words", path), None
    elif wanted.reads == "question":
        text, pair = _only(names, ("question",), "the question", path), _only(names, ("context",), "the context", path)
    elif wanted.reads in ("image", "audio"):
        text, pair = _only(names, FILE, "the file", path), None
    elif wanted.reads == "image and text":
        text, pair = _only(names, FILE, "the file", path), _only(names, CAPTION, "the picture's text", path)
        if text is not None and pair is None:
            raise SamplesError(
                f"samples {path}: no text beside each picture: expected a column {' | '.join(CAPTION)}, found "
                f"{_listed(names)}"
            )
    else:
        text, pair = _texts(names, path)
    if text is None:
        what, expected = _INPUTS.get(wanted.reads, ("text", TEXT))
        raise SamplesError(
            f"samples {path}: no {what}: expected a column {' | '.join(expected)}, found {_listed(names)}. "
            f"Name the column of the {what} so (the first line of a CSV names its columns)"
        )
    if wanted.reads == "question" and pair is None:
        raise SamplesError(f"samples {path}: a question needs a column 'context', found {_listed(names)}")
    target = _only(names, _TARGETS[wanted.targets], "what should come out", path)
    stated = None
    by_row = _TARGETS[wanted.targets] is LABEL
    if target is None and by_row:
        target = _only(names, tuple(STATED), "the label", path)
        stated = STATED[_folded(target)] if target else None
    vector = () if target or not by_row else _vector(names, (text, pair), task, path)
    used = {text, pair, target, *vector}
    return Columns(text, pair, target, stated, vector, tuple(name for name in names if name not in used))


def _texts(names: Sequence[str], path: str) -> tuple[str | None, str | None]:
    by_name = {_folded(name): name for name in names}
    pair = _only(names, PAIR, "the second text", path)
    firsts = [name for name in by_name if name in TEXT]
    if pair is None and set(firsts) == {"question", "sentence"}:  # GLUE's QNLI
        return by_name["question"], by_name["sentence"]
    return _only(names, TEXT, "the text", path), pair


def _only(names: Sequence[str], wanted: Sequence[str], what: str, path: str) -> str | None:
    found = [name for name in names if _folded(name) in wanted]
    if len(found) > 1:
        raise SamplesError(
            f"samples {path}: columns {found[0]!r} and {found[1]!r} could both be {what}: leave one out, or rename it"
        )
    return found[0] if found else None


def _vector(names: Sequence[str], texts: Sequence[str | None], task: TaskSpec, path: str) -> tuple[str, ...]:
    """A column of 0 and 1 for every label of the model; () where there are none."""
    by_name = {_folded(name): name for name in names if name not in texts}
    found = [by_name.get(_folded(label)) for label in task.labels]
    present = [name for name in found if name is not None]
    if len(present) == len(found):
        return tuple(present)
    if len(present) > 1:
        missing = [label for label, name in zip(task.labels, found, strict=True) if name is None]
        raise SamplesError(f"samples {path}: there are columns for the labels {', '.join(present)}, but none for "
                           f"{', '.join(missing)}")  # fmt: skip
    return ()


def _listed(names: Sequence[str]) -> str:
    """The first names of a header, which may be a document without line ends."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(f"{name!r:.60}" for name in names[:_MOST_NAMED]) + more


def _folded(name: str) -> str:
    return name.strip().casefold()
