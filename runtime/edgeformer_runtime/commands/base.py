"""What the commands share: their common arguments, and how they print JSON."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any


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
        bundle.add_argument("bundle", metavar="BUNDLE", help="bundle directory, or a .zip of one")
        engine = argparse.ArgumentParser(add_help=False)
        engine.add_argument("--variant", default="auto", help="name of a variant (default: the fastest one here)")
        engine.add_argument("--threads", type=int, metavar="N", help="default: the cores that this process may use")
        return cls(bundle, engine, debug)


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    print(json.dumps(value, indent=1, allow_nan=False))
