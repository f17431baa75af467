"""`edgeformer report`: a bundle's report as one page. `report compare` and `report sustained`: device reports as a
table, and as a plot. `report scaling`: bundles measured on this machine, against the length of the input.

The last three are two words on the command line and one command for argparse: ``joined`` puts the words together, so
that `edgeformer report BUNDLE` keeps its own form. A bundle that is called "compare" is given as ./compare.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeformer_runtime.terminal import say, tell

from .base import add_command

COMPARE, SUSTAINED, SCALING = "report compare", "report sustained", "report scaling"


def joined(arguments: Sequence[str]) -> list[str]:
    """The command line with "report compare", "report sustained" and "report scaling" as one word each."""
    first = " ".join(arguments[:2])
    return [first, *arguments[2:]] if first in (COMPARE, SUSTAINED, SCALING) else list(arguments)


def add(commands: Any) -> None:
    """Add the four commands to the command line."""
    command = add_command(commands, "report", "write the report of a bundle as one HTML page", run)
    command.add_argument("source", metavar="BUNDLE|report.json", type=Path)
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="the page; needed unless --json is given")
    command = add_command(commands, COMPARE, "device reports side by side, as the papers' table", _compare)
    add_argument = command.add_argument
    add_argument("reports", nargs="+", type=Path, metavar="BENCH.json", help="from 'edgeformer-run bench … --json'")
    add_argument("--reference", metavar="NAME", help="report that speed-ups are against (default: the first)")
    add_argument("--rank", default="latency", choices=("latency", "power", "energy", "none"), help="default: latency")
    add_argument("--bundle", action="append", default=[], type=Path, metavar="BUNDLE",
                 help="where a report has no accuracy, take it from here; repeatable")  # fmt: skip
    add_argument("--markdown", action="store_true", help="print Markdown")
    add_argument("--csv", type=Path, metavar="FILE", help="write the figures as CSV")
    add_argument("--html", type=Path, metavar="FILE", help="write a page")
    command = add_command(commands, SUSTAINED, "plot sustained runs of device reports", _sustained)
    command.add_argument("reports", nargs="+", type=Path, metavar="BENCH.json", help="from 'bench … --sustained'")
    command.add_argument("-o", "--output", type=Path, metavar="FILE.svg|FILE.png", help="needed unless --json is given")
    command = add_command(commands, SCALING, "measure bundles here against the input's length, and plot it", _scaling)
    command.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    command.add_argument("--lengths", default="64,128,256,512,1024,2048,4096", metavar="N,N", help="tokens")
    command.add_argument("--threads", type=int, default=2, metavar="N", help="default: 2")
    command.add_argument(
        "-o", "--output", type=Path, metavar="FILE.svg|.png|.html", help="needed unless --json is given"
    )


def run(options: argparse.Namespace) -> None:
    """`edgeformer report BUNDLE`."""
    from ..errors import InputError
    from ..report.files import html_of, read_report

    if options.output is None and not options.json:
        raise InputError("report: give -o FILE for the page, or --json for the data on standard output")
    found = read_report(options.source)
    if options.output is not None:
        options.output.write_text(html_of(found, options.source), encoding="utf-8")
    if options.json:
        say(json.dumps(found))


def _compare(options: argparse.Namespace) -> None:
    from ..report.compare import accuracies, compare, load
    from ..report.compare_render import as_csv, as_html, as_json, as_markdown, as_text

    found = compare(load(options.reports), options.reference, options.rank, accuracies(options.bundle))
    if options.csv is not None:
        options.csv.write_text(as_csv(found), encoding="utf-8")
    if options.html is not None:
        options.html.write_text(as_html(found), encoding="utf-8")
    if options.json:
        say(json.dumps(as_json(found)))
    else:
        say(as_markdown(found) if options.markdown else as_text(found))


def _sustained(options: argparse.Namespace) -> None:
    from ..errors import InputError
    from ..report.compare import load

    if options.output is None and not options.json:
        raise InputError("report sustained: give -o FILE for the plot, or --json for the data on standard output")
    reports = load(options.reports)
    if options.output is not None:
        from ..report.sustained_plot import write_plot

        write_plot(reports, options.output)
    if options.json:
        data = {item.name: item.report.to_dict()["sustained"] for item in reports}
        say(json.dumps(data))


def _scaling(options: argparse.Namespace) -> None:
    from ..errors import InputError
    from ..report.scaling import measure

    if options.output is None and not options.json:
        raise InputError("report scaling: give -o FILE for the plot, or --json for the data on standard output")
    try:
        lengths = [int(part) for part in options.lengths.split(",")]
    except ValueError:
        raise InputError(f"--lengths {options.lengths}: expected numbers of tokens, as 64,512,4096") from None
    found = measure(options.bundles, lengths, options.threads, tell)
    if options.output is not None:
        from ..report.scaling_plot import write

        write(found, options.output)
    if options.json:
        say(found.to_json())
