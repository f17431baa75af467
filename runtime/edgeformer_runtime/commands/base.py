"""What the commands share: their common arguments, and how they print JSON."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any, Dict

from ..terminal import say


@dataclass(frozen=True)
class Shared:
    """Parsers to name as parents of a command's own."""

    bundle: argparse.ArgumentParser
    engine: argparse.ArgumentParser
    debug: argparse.ArgumentParser

    @classmethod
    def make(cls) -> Shared:
        """New parsers; argparse changes those it is given."""
        debug = argparse.ArgumentParser(add_help=False)
        debug.add_argument("--debug", action="store_true", help="show the traceback of an error")
        bundle = argparse.ArgumentParser(add_help=False)
        bundle.add_argument("bundle", metavar="BUNDLE", help="bundle directory, a .zip of one, or a DIR of install")
        bundle.add_argument(
            "--key", action="append", metavar="FILE", help="public key (PEM): refuse what it didn't sign; repeatable"
        )
        bundle.add_argument("--sandbox", action="store_true", help="open and load it in a child process first")
        bundle.add_argument("--sandbox-seconds", type=float, metavar="S", help="time that the child may take (120)")
        bundle.add_argument("--sandbox-memory", type=int, metavar="MB", help="memory that the child may take")
        engine = argparse.ArgumentParser(add_help=False)
        engine.add_argument("--variant", default="auto", help="name of a variant (default: the fastest one here)")
        engine.add_argument("--threads", type=int, metavar="N", help="default: the cores that this process may use")
        engine.add_argument(
            "--engine",
            default="auto",
            metavar="NAME",
            help="onnxruntime, cuda, tensorrt, litert or coreml only",
        )
        engine.add_argument(
            "--self-check",
            default="first",
            choices=("first", "always", "never"),
            help="compare with the verified outputs: once on this machine (default), each time, or not at all",
        )
        engine.add_argument("--ignore-memory", action="store_true", help="open it even where it doesn't seem to fit")
        return cls(bundle, engine, debug)


def opening(options: argparse.Namespace) -> Dict[str, Any]:
    """The arguments of ``Session.open`` beside variant and threads, as the command line has them."""
    sandbox: Any = options.sandbox
    if options.sandbox_seconds is not None or options.sandbox_memory is not None:
        from ..sandbox.sandbox import Limits

        seconds = 120.0 if options.sandbox_seconds is None else options.sandbox_seconds
        sandbox = Limits((options.sandbox_memory or 0) * 1_000_000, seconds, max(1, int(2 * seconds)))
    names = ("engine", "self_check", "ignore_memory")  # of the commands that load a variant
    chosen = {name: getattr(options, name) for name in names if hasattr(options, name)}
    return {"key": options.key, "sandbox": sandbox, **chosen}


def opened(options: argparse.Namespace) -> Any:
    """The Bundle that the command line names, opened in a child process first where that is asked for."""
    from ..bundle.bundle import Bundle

    chosen = opening(options)
    if chosen["sandbox"]:
        from ..sandbox.sandbox import open_in_sandbox

        open_in_sandbox(options.bundle, given_limits(chosen["sandbox"]))
    return Bundle.open(options.bundle, chosen["key"])


def given_limits(sandbox: Any) -> Any:
    """The Limits that the user gave, None for the usual ones."""
    return None if sandbox in (True, False) else sandbox


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    say(json.dumps(value, indent=1, allow_nan=False))
