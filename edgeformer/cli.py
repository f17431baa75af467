"""edgeformer: the command line of the workstation.

Results go to standard output (one JSON object with --json), progress and errors to standard error. Exit status: 0 done;
1 refused, with the reason, and nothing published; 2 the call or its input is wrong.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from edgeformer_runtime.errors import EdgeformerError
from edgeformer_runtime.foreign import debugging, foreign_errors
from edgeformer_runtime.terminal import err, only_our_lines, say, tell

from .malloc import keep_freed_pages
from .torch_build import require_torch
from .version import __version__

REFUSED, WRONG_INPUT = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    keep_freed_pages()
    if not hasattr(options, "run"):
        build_parser().print_help()
        return WRONG_INPUT
    return guarded(lambda: options.run(options), debug=debugging(options.debug), command=options.command)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; argparse prints what is wrong and exits with 2."""
    from .commands.report import joined

    return build_parser().parse_args(joined(arguments))


def guarded(work: Callable[[], None], *, debug: bool, command: str = "edgeformer") -> int:
    """Run ``work``; an error becomes one message and an exit status, with a traceback only when asked for.

    What libraries print, and log, is shown with ``debug`` alone.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with only_our_lines(debug), _converters_log() if debug else nullcontext():
        return _guarded(work, debug, command)


@contextmanager
def _converters_log() -> Iterator[None]:
    """Shows what the converters caught of their libraries' lines."""
    log, handler = logging.getLogger("edgeformer_converters"), logging.StreamHandler(err())
    level = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _guarded(work: Callable[[], None], debug: bool, command: str) -> int:
    try:
        with foreign_errors(command):
            work()
        return 0
    except EdgeformerError as error:
        return _fail(str(error), error.exit_status, debug)
    except KeyboardInterrupt as error:  # with a text where the command has one of its own
        return _fail(str(error) or "interrupted: nothing was published. The same command goes on from the last "
                     "finished stage", REFUSED, debug)  # fmt: skip
    except BrokenPipeError:
        return REFUSED
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full: nothing was published. Free some space and run the command again"
        return _fail(what if full else f"{error.filename or 'a file'}: {error.strerror or error}",
                     REFUSED if full else WRONG_INPUT, debug)  # fmt: skip


def _fail(message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc(file=err())
    tell(f"edgeformer: {message}")
    return status


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; importing nothing heavy, so that --help answers at once."""
    parser = argparse.ArgumentParser(
        prog="edgeformer",
        description="Compile a fine-tuned transformer and its LoRA adapter into one verified bundle for small devices.",
    )
    parser.add_argument("--version", action="version", version=f"edgeformer {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    _add_compile(commands)
    inspect = _command(commands, "inspect", "show what a model or a bundle holds", _inspect)
    inspect.add_argument("path", metavar="MODEL|BUNDLE")
    verify = _command(commands, "verify", "check a bundle's hashes and run its variants again", _verify)
    verify.add_argument("bundle", metavar="BUNDLE")
    verify.add_argument("--evaluation", type=Path, metavar="FILE", help="labelled samples to judge on")
    sign = _command(commands, "sign", "sign a bundle, or make a pair of keys for it", _sign)
    sign.add_argument("bundle", metavar="BUNDLE", nargs="?", type=Path, help="directory or .zip")
    sign.add_argument("--key", type=Path, metavar="FILE", help="private key (PEM, Ed25519)")
    sign.add_argument("--new-key", type=Path, metavar="FILE", help="make FILE and, beside it, its public key")
    _add_report(commands)
    _add_sensitivity(commands)
    _add_bench(commands)
    devices = _command(commands, "devices", "list the known devices, or show one", _devices)
    devices.add_argument("name", nargs="?", metavar="NAME")
    return parser


def _command(
    commands: Any, name: str, summary: str, run: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    command.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(run=run)
    return command


def _add_compile(commands: Any) -> None:
    command = _command(commands, "compile", "compile a model into a verified bundle", _compile)
    add = command.add_argument
    add(
        "model",
        metavar="MODEL",
        help="Hugging Face directory: config.json, model.safetensors, tokenizer.json or preprocessor_config.json",
    )
    add("-o", "--output", required=True, metavar="BUNDLE", help="where the bundle goes")
    add(
        "--adapter",
        action="append",
        default=[],
        metavar="DIR[=WEIGHT]",
        help="peft adapter to merge; repeatable",
    )
    add(
        "--recipe",
        default="balanced",
        metavar="NAME|FILE",
        help="float32, int8, balanced, small, auto, tiny, or a TOML file",
    )
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="change the recipe, e.g. quantize.feed_forward=int8")  # fmt: skip
    add("--device", action="append", default=[], metavar="NAME", help="see 'edgeformer devices'; repeatable")
    add("--format", action="append", default=[], metavar="onnx|tensorrt|tflite|coreml", help="repeatable")
    add("--sequence-lengths", type=_lengths, default=(), metavar="64,128", help="static lengths in tokens")
    add(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="rows that choices are made on, none of the evaluation's: CSV, JSONL, or a folder of files per label",
    )
    add("--training", type=Path, metavar="FILE", help="rows that recovery learns from; by default the calibration's")
    add("--evaluation", type=Path, metavar="FILE", help="labelled CSV or JSONL rows to judge the result on")
    add("--max-drop", type=float, metavar="0.01", help="largest fall of the metric that may be published")
    add("--max-size", metavar="12MB", help="largest size of a variant that may be published")
    add("--max-latency", metavar="20ms", help="largest latency on this machine, one row at the longest length")
    add("--task", metavar="NAME", help="text-classification, token-classification, question-answering, "
        "feature-extraction, image-classification, image-feature-extraction, audio-classification; by default what the "
        "model or adapter says")  # fmt: skip
    add("--labels", type=_names, default=(), metavar="A,B,…", help="names of the outputs, in order")
    add("--pair", action="store_true", help="the task takes two texts (found out from the rows' files where given)")
    add("--dimensions", type=int, metavar="N", help="keep the first N numbers of an embedding (Matryoshka models)")
    add("--allow-pickle", action="store_true", help="read pickled weights, with weights_only")
    add("--threads", type=int, metavar="N", help="threads of the engines during verification")
    add("--no-resume", action="store_true", help="do every stage again")


def _add_report(commands: Any) -> None:
    command = _command(commands, "report", "write the report of a bundle as one HTML page", _report)
    command.add_argument("source", metavar="BUNDLE|report.json", type=Path)
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="the page; needed unless --json is given")
    from .commands.report import add

    add(commands, _command)


def _add_sensitivity(commands: Any) -> None:
    command = _command(commands, "sensitivity", "measure what each layer loses in each format", _sensitivity)
    add = command.add_argument
    add("model", metavar="MODEL", help="Hugging Face directory")
    add("--adapter", action="append", default=[], metavar="DIR[=WEIGHT]", help="peft adapter to merge; repeatable")
    add("--calibration", type=Path, required=True, metavar="FILE", help="CSV or JSONL rows to measure on")
    add("--formats", type=_names, default=("int8", "int4", "int4-block32"), metavar="int8,int4,…")
    add("--algorithm", default="mse", metavar="NAME", help="how integers are chosen: rtn, mse, gptq")
    add("--metric", action="store_true", help="the task's metric as well (labelled rows; takes whole runs)")
    add("--exact", action="store_true", help="run every change to the outputs, without gradients behind its block")
    add("--rows", type=int, default=256, metavar="N", help="rows at most")
    add("-o", "--output", type=Path, metavar="FILE", help="write the profile as JSON")
    add("--no-resume", action="store_true", help="measure again")


def _add_bench(commands: Any) -> None:
    from .commands.bench import add_arguments

    summary = "measure a bundle here, on a device over ssh or adb, or try it on an emulated board"
    command = commands.add_parser("bench", help=summary, description=summary)
    add_arguments(command)
    command.set_defaults(run=_bench)


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers like 64,128") from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(","))


class _Progress:
    """Lines on standard error, each led by the time since the start."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def __call__(self, message: str) -> None:
        since = f"[{time.monotonic() - self.start:6.1f} s] "
        tell(f"{since}{message}", hang=len(since))


def _compile(options: argparse.Namespace) -> None:
    from edgeformer_runtime.bundle.writer import check_output

    check_output(options.output)  # before torch is imported: a wrong path is answered at once
    require_torch()
    from .compiler import InputOptions, compile
    from .recipe import Recipe
    from .terminal.quantities import parse_bytes, parse_milliseconds
    from .terminal.table import bundle_json, bundle_table

    recipe = Recipe.load(options.recipe)
    for setting in options.settings:
        recipe = recipe.with_setting(setting)
    bundle = compile(
        options.model,
        output=options.output,
        adapters=options.adapter,
        recipe=recipe,
        devices=options.device,
        formats=options.format,
        sequence_lengths=options.sequence_lengths,
        calibration=options.calibration,
        training=options.training,
        evaluation=options.evaluation,
        max_drop=options.max_drop,
        max_size_bytes=parse_bytes(options.max_size) if options.max_size else None,
        max_latency_ms=parse_milliseconds(options.max_latency) if options.max_latency else None,
        options=InputOptions(
            task=options.task,
            labels=options.labels,
            pair=options.pair,
            dimensions=options.dimensions,
            allow_pickle=options.allow_pickle,
        ),
        threads=options.threads,
        resume=not options.no_resume,
        progress=_Progress(),
    )
    say(json.dumps(bundle_json(bundle)) if options.json else bundle_table(bundle))


def _inspect(options: argparse.Namespace) -> None:
    require_torch()
    from .commands.inspect import inspect_path, inspection_table

    found = inspect_path(Path(options.path))
    say(json.dumps(found) if options.json else inspection_table(found))


def _verify(options: argparse.Namespace) -> None:
    require_torch()
    from .commands.inspect import verification_table, verify_bundle

    found = verify_bundle(Path(options.bundle), options.evaluation, _Progress())
    say(json.dumps(found) if options.json else verification_table(found))


def _sign(options: argparse.Namespace) -> None:
    from .commands.sign import new_key, sign
    from .errors import InputError

    if (options.bundle is None) == (options.new_key is None) or (options.bundle is None) != (options.key is None):
        raise InputError("sign: give BUNDLE and --key FILE to sign, or --new-key FILE alone to make a pair of keys")
    if options.new_key is not None:
        pair = new_key(options.new_key)
        found = {"private": str(pair.private), "public": str(pair.public), "key_id": pair.key_id}
        text = f"{pair.private}: keep it secret\n{pair.public}: give it to devices\nkey id {pair.key_id}"
    else:
        found = {"bundle": str(options.bundle), "key_id": sign(options.bundle, options.key)}
        text = f"{options.bundle}: signed with the key {found['key_id']}"
    say(json.dumps(found) if options.json else text)


def _report(options: argparse.Namespace) -> None:
    from .errors import InputError
    from .report.files import html_of, read_report

    if options.output is None and not options.json:
        raise InputError("report: give -o FILE for the page, or --json for the data on standard output")
    found = read_report(options.source)
    if options.output is not None:
        options.output.write_text(html_of(found, options.source), encoding="utf-8")
    if options.json:
        say(json.dumps(found))


def _sensitivity(options: argparse.Namespace) -> None:
    require_torch()
    from .commands.sensitivity import profile_json, profile_table, sensitivity, write_profile

    found = sensitivity(
        options.model,
        calibration=options.calibration,
        adapters=options.adapter,
        formats=options.formats,
        algorithm=options.algorithm,
        metric=options.metric,
        exact=options.exact,
        max_rows=options.rows,
        resume=not options.no_resume,
        progress=_Progress(),
    )
    if options.output is not None:
        write_profile(found, options.output)
    say(json.dumps(profile_json(found)) if options.json else profile_table(found))


def _bench(options: argparse.Namespace) -> None:
    from .commands.bench import run

    run(options, _Progress())


def _devices(options: argparse.Namespace) -> None:
    from .commands.inspect import device_table, devices_json

    found = devices_json(options.name)
    say(json.dumps(found) if options.json else device_table(found))


if __name__ == "__main__":
    sys.exit(main())
