"""`edgeformer-run predict`: texts, lines of a file, whole documents, pictures or sounds in; labels and scores out."""

from __future__ import annotations

import argparse
import time
import warnings
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from ..errors import InputError
from ..terminal import say, tell
from .base import Shared, opening, print_json
from .documents import Memory, Row, documents, lines, summary

if TYPE_CHECKING:
    from ..session import Session
    from ..tasks import Prediction


_KINDS = ("image", "audio")  # that have an option of their own


def add(commands: Any, shared: Shared) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "predict",
        parents=[shared.bundle, shared.engine, shared.debug],
        help="run texts, documents, pictures or sounds",
        description="Run texts: TEXT arguments, the lines of a file (--lines), or files that are one document each "
        "(--file). Results go to standard output; what was read, time and memory to standard error.",
    )
    parser.add_argument("texts", nargs="*", metavar="TEXT")
    parser.add_argument(
        "--file",
        action="append",
        metavar="FILE",
        help="one document, as one text; '-': standard input; repeatable",
    )
    parser.add_argument("--lines", metavar="FILE", help="one text a line; '-' reads standard input")
    for kind, what in (("image", "a picture"), ("audio", "a WAV file")):
        parser.add_argument(
            f"--{kind}", action="append", metavar="FILE", help=f"{what}, for a model of such; repeatable"
        )
    parser.add_argument(
        "--pair",
        action="store_true",
        help="TEXTs come in twos; lines hold two, with a tab between; with --file one TEXT goes before each document",
    )
    parser.add_argument("--labels", metavar="A,B", help="what pictures may show, for a zero-shot model")
    parser.add_argument("--prompt", metavar="NAME", help='one of the bundle\'s prompts; "": none at all')
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    from ..session import Session

    rows = _rows(options)
    memory = Memory()
    memory.note("before_opening")
    with Session.open(options.bundle, variant=options.variant, threads=options.threads, **opening(options)) as session:
        memory.note("opened")
        _check_kind(session, options)
        labels = None if options.labels is None else [label.strip() for label in options.labels.split(",")]
        results = [_timed(session, row, options.prompt, labels) for row in rows]
        memory.note("after_the_last_text")
        preprocess = session.manifest.text
        facts = {
            "variant": session.variant.name,
            "engine": session.engine,
            "threads": session.threads,
            "delegation": list(session.delegation),
            "max_length": None if preprocess is None else preprocess.max_length,
            "memory": memory.to_dict(),
        }
    told = [{**result.to_dict(), "latency_ms": latency_ms} for result, latency_ms in results]
    if options.json:
        print_json({**facts, "results": [{**row.source, **result} for row, result in zip(rows, told)]})
        return
    for row, (result, _) in zip(rows, results):
        say(f"{result.summary()}\t{row.label}" + ("\t(truncated)" if result.truncated else ""))
    if options.file is not None:
        tell("\n".join(summary(told, facts)))


def _check_kind(session: Session, options: argparse.Namespace) -> None:
    """Raise InputError where a picture is given to a model of texts, and the like."""
    from ..preprocess.registry import KINDS

    kinds = [kind for kind in _KINDS if getattr(options, kind) is not None]
    given = " and ".join([*kinds, *(["text"] if options.texts or not kinds else [])])
    if session.reads is not None and session.reads != given:
        expected = {"text": "TEXT, --file or --lines", "image and text": "--image FILE TEXT"}
        takes, got = (
            " with ".join(KINDS[kind].takes for kind in kinds.split(" and ")) for kinds in (session.reads, given)
        )
        raise InputError(
            f"bundle {session.manifest.name!r} takes {takes}, not {got}: expected "
            f"{expected.get(session.reads, f'--{session.reads}')}"
        )


def _timed(session: Session, row: Row, prompt: Optional[str], labels: Optional[List[str]]) -> Tuple[Prediction, float]:
    """One result, and the milliseconds that reading and running its text took."""
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        result = session.predict([row.texts], prompt, labels)[0]
    latency_ms = (time.perf_counter() - began) * 1e3
    for note in noted:
        tell(str(note.message))
    return result, latency_ms


def _rows(options: argparse.Namespace) -> List[Row]:
    """What is to be run; raises InputError for a call that says it twice, or not at all."""
    files = [(kind, getattr(options, kind)) for kind in _KINDS if getattr(options, kind) is not None]
    if files:
        if options.file or options.lines or options.pair or len(files) > 1:
            raise InputError(
                f"predict --{files[0][0]}: expected nothing else beside it, but TEXTs for pictures with texts"
            )
        if options.texts:
            pairs = ((name, text) for name in files[0][1] for text in options.texts)
            return [Row(pair, " | ".join(pair), pair[0]) for pair in pairs]
        return [Row(name, name, name) for name in files[0][1]]
    given = [bool(options.texts), options.file is not None, options.lines is not None]
    if options.pair and given[1]:
        if len(options.texts) != 1 or given[2]:
            raise InputError("predict --pair --file: expected one TEXT, which goes before each document")
    elif sum(given) != 1:
        raise InputError(
            "predict: expected one of: TEXT arguments, --file (one document each; --file again for the next), --lines "
            "(one text a line)"
        )
    if options.file is not None:
        return documents(options.file, options.texts[0] if options.pair else None)
    if options.lines is not None:
        return lines(options.lines, options.pair)
    if not options.pair:
        return [Row(text, text) for text in options.texts]
    if len(options.texts) % 2:
        raise InputError(f"predict --pair: expected an even number of texts, got {len(options.texts)}")
    return [Row(pair, " | ".join(pair)) for pair in zip(options.texts[::2], options.texts[1::2])]
