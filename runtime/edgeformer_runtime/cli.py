"""``edgeformer-run``: look at, run, measure a bundle. Results go to standard output, the rest to stderr."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from .errors import EdgeformerError, InputError
from .version import __version__

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 refused or failed, 2 wrong call or input."""
    options = _parse(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that isn't UTF-8 must not stop a measurement
            stream.reconfigure(errors="backslashreplace")
    try:
        options.command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has left, as `| head` does, and Python would complain of it when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except EdgeformerError as error:
        if options.debug:
            raise
        print(f"edgeformer-run: {error}", file=sys.stderr)
        return error.exit_status
    except Exception as error:
        if options.debug:
            raise
        kind = type(error).__name__
        print(f"edgeformer-run: unexpected {kind}: {error}. Run again with --debug", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse doesn't find the texts of `predict BUNDLE --pair TEXT TEXT`, where an option stands between.
    if rest and options.name == "predict" and not any(text.startswith("-") for text in rest):
        options.texts = [*options.texts, *rest]
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edgeformer-run", description="Run and measure an edgeformer bundle.")
    parser.add_argument("--version", action="version", version=f"edgeformer-run {__version__}")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    bundle = argparse.ArgumentParser(add_help=False)
    bundle.add_argument("bundle", metavar="BUNDLE", help="bundle directory, or a .zip of one")
    engine = argparse.ArgumentParser(add_help=False)
    engine.add_argument("--variant", default="auto", help="name of a variant (default: the fastest one here)")
    engine.add_argument("--threads", type=int, metavar="N", help="default: the cores that this process may use")
    commands = parser.add_subparsers(dest="name", metavar="COMMAND")
    commands.required = True

    info = commands.add_parser("info", parents=[bundle, shared], help="what the bundle holds, and what runs here")
    info.add_argument("--json", action="store_true", help="one JSON object")
    info.set_defaults(command=_info)

    predict = commands.add_parser("predict", parents=[bundle, engine, shared], help="run texts")
    predict.add_argument("texts", nargs="*", metavar="TEXT")
    predict.add_argument("--file", type=Path, help="one text a line; '-' reads standard input")
    predict.add_argument("--pair", action="store_true", help="TEXTs come in twos; lines hold two, with a tab between")
    predict.add_argument("--json", action="store_true", help="one JSON object")
    predict.set_defaults(command=_predict)

    bench = commands.add_parser("bench", parents=[bundle, engine, shared], help="measure latency and memory")
    bench.add_argument("--runs", type=int, metavar="N", help="timed runs (default 100; 1000 for p99)")
    bench.add_argument("--duration", type=float, metavar="S", help="time for S seconds instead")
    bench.add_argument("--sequence-length", type=int, metavar="N", help="default: a middle one of the variant's")
    bench.add_argument("--json", metavar="FILE", help="write the report as JSON; '-' is standard output")
    bench.set_defaults(command=_bench)

    sensors = commands.add_parser("sensors", parents=[shared], help="this device, and its power sensors")
    sensors.add_argument("--json", action="store_true", help="one JSON object")
    sensors.set_defaults(command=_sensors)
    return parser


def _info(options: argparse.Namespace) -> None:
    from .bundle import Bundle
    from .selection import candidates

    with Bundle.open(options.bundle) as bundle:
        manifest = bundle.manifest
        variants: List[Dict[str, Any]] = [
            {
                "name": item.variant.name,
                "format": item.variant.format,
                "engine": item.variant.engine,
                "size_bytes": item.variant.size_bytes,
                "sequence_lengths": list(item.variant.sequence_lengths),
                "usable": item.availability.usable,
                "package": item.availability.package,
                "version": item.availability.version,
                "reason": item.availability.reason,
            }
            for item in candidates(bundle)
        ]
        value = {
            "name": manifest.name,
            "digest": bundle.digest,
            "task": manifest.task.name,
            "labels": list(manifest.task.labels),
            "producer": manifest.producer,
            "format_version": manifest.format_version,
            "max_length": manifest.preprocess.max_length if manifest.preprocess is not None else None,
            "variants": variants,
        }
    if options.json:
        _print_json(value)
        return
    print(f"{manifest.name}: {manifest.task.name}, made by {manifest.producer or 'an unnamed producer'}")
    print(f"digest {bundle.digest}")
    if manifest.task.labels:
        print(f"labels {', '.join(manifest.task.labels)}")
    for item in variants:
        usable = f"runs here on {item['package']} {item['version']}" if item["usable"] else f"no: {item['reason']}"
        print(f"  {item['name']:<20}{item['size_bytes'] / 1e6:8.2f} MB  {usable}")


def _predict(options: argparse.Namespace) -> None:
    from .session import Session

    rows = _rows(options)
    with Session.open(options.bundle, variant=options.variant, threads=options.threads) as session:
        results = [result.to_dict() for result in session.predict(rows)]
        if options.json:
            _print_json({"variant": session.variant.name, "engine": session.engine, "results": results})
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


def _bench(options: argparse.Namespace) -> None:
    from .session import Session

    with Session.open(options.bundle, variant=options.variant, threads=options.threads) as session:
        print(f"measuring {session.variant.name} on {session.engine} …", file=sys.stderr)
        report = session.benchmark(options.runs, options.duration, options.sequence_length)
    if options.json == "-":
        sys.stdout.write(report.to_json())
        return
    if options.json is not None:
        try:
            Path(options.json).write_text(report.to_json(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"--json {options.json}: can't be written: {error}") from error
    print(report.table())


def _sensors(options: argparse.Namespace) -> None:
    from . import power
    from .system import probe

    facts = probe()
    reading = power.read()
    if options.json:
        _print_json({"device": facts.to_dict(), "power": reading.to_dict()})
        return
    for name, value in facts.to_dict().items():
        text = ", ".join(value) if isinstance(value, tuple) else value
        print(f"{name:<24}{'-' if text in (None, '') else text}")
    watts = f"{reading.watts} W ({reading.scope})" if reading.watts is not None else f"{reading.reason}"
    print(f"{'power':<24}{reading.status}: {watts}")
    for place in reading.looked_at:
        print(f"  {'found' if place.exists else 'none':<8}{place.path}: {place.note}")


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, allow_nan=False))
