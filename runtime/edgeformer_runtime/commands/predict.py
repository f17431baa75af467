"""`edgeformer-run predict`: texts in, labels and scores out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, List, Tuple, Union

from ..errors import InputError
from .base import Shared, print_json


def add(commands: Any, shared: Shared) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("predict", parents=[shared.bundle, shared.engine, shared.debug], help="run texts")
    parser.add_argument("texts", nargs="*", metavar="TEXT")
    parser.add_argument("--file", type=Path, help="one text a line; '-' reads standard input")
    parser.add_argument("--pair", action="store_true", help="TEXTs come in twos; lines hold two, with a tab between")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    from ..session import Session

    rows = _rows(options)
    with Session.open(options.bundle, variant=options.variant, threads=options.threads) as session:
        results = [result.to_dict() for result in session.predict(rows)]
        if options.json:
            print_json({"variant": session.variant.name, "engine": session.engine, "results": results})
            return
    for index, result in enumerate(results):
        row = rows[index]
        text = row if isinstance(row, str) else " | ".join(row)
        print(f"{_summary(result)}\t{text}" + ("\t(truncated)" if result["truncated"] else ""))


def _rows(options: argparse.Namespace) -> List[Union[str, Tuple[str, str]]]:
    if bool(options.texts) == (options.file is not None):
        raise InputError("predict: expected either TEXT arguments or --file")
    if options.file is None:
        if not options.pair:
            return list(options.texts)
        if len(options.texts) % 2:
            raise InputError(f"predict --pair: expected an even number of texts, got {len(options.texts)}")
        return [(options.texts[index], options.texts[index + 1]) for index in range(0, len(options.texts), 2)]
    lines = [line for line in _read(options.file).splitlines() if line.strip()]
    if not options.pair:
        return list(lines)
    pairs = [tuple(line.split("\t")) for line in lines]
    for number, pair in enumerate(pairs, start=1):
        if len(pair) != 2:
            raise InputError(f"{options.file}: text {number}: expected two texts with a tab between, got {len(pair)}")
    return [(pair[0], pair[1]) for pair in pairs]


def _read(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read as UTF-8 text: {error}") from error


def _summary(result: Any) -> str:
    if "value" in result:
        return f"{result['value']:.4f}"
    if "entities" in result:
        return "; ".join(f"{item['label']}={item['text']} ({item['score']:.3f})" for item in result["entities"]) or "-"
    if "embedding" in result:
        head = " ".join(f"{value:.4f}" for value in result["embedding"][:4])
        return f"[{head} …] {len(result['embedding'])} dimensions"
    if "scores" in result:
        return f"{result['label']} {result['score']:.4f}"
    return f"{result['text']} {result['score']:.4f}"
