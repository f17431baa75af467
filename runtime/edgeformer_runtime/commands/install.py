"""`edgeformer-run install`, `rollback`, `installed`: replace a device's bundle in one step, and go back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Callable, Dict, Optional

from ..terminal import say, tell
from .base import Shared, given_limits, opening, print_json


def add(commands: Any, shared: Shared) -> None:
    """Add the three commands to the command line."""
    parser = commands.add_parser(
        "install",
        parents=[shared.bundle, shared.debug],
        help="put a bundle in place in one step, keep the one before",
        description="Copy a bundle (directory or .zip) into DIR, verify it, try it in a child process, then make it "
        "the current one in one step. An interrupted install goes on where it stopped.",
    )
    parser.add_argument("--to", required=True, metavar="DIR", help="directory of installed bundles; made if needed")
    parser.add_argument("--no-check", action="store_true", help="don't load and run it before switching to it")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(command=run_install)
    for name, run, text in (
        ("rollback", run_rollback, "make the bundle before the current one"),
        ("installed", run_installed, "what is installed in a directory"),
    ):
        parser = commands.add_parser(name, parents=[shared.debug], help=text)
        parser.add_argument("directory", metavar="DIR", help="directory of installed bundles")
        parser.add_argument("--json", action="store_true", help="one JSON object")
        if name == "rollback":
            parser.add_argument("--key", action="append", metavar="FILE", help="public key (PEM); repeatable")
        parser.set_defaults(command=run)


def run_install(options: argparse.Namespace) -> None:
    """Do what ``install`` says."""
    from ..installing.installation import install

    chosen = opening(options)
    check: Optional[Callable[[Path], None]] = None
    if not options.no_check:
        limits = given_limits(chosen["sandbox"])

        def check(path: Path) -> None:
            from ..sandbox.sandbox import load_in_sandbox

            for name, engine in load_in_sandbox(path, limits=limits).ran.items():
                _say(f"{name} runs on {engine}")

    done = install(options.bundle, options.to, chosen["key"], check, _say)
    _print(options, done)


def run_rollback(options: argparse.Namespace) -> None:
    """Do what ``rollback`` says."""
    from ..installing.installation import rollback

    _print(options, rollback(options.directory, options.key))
    tell("the bundle that it came from is now the previous one: rollback again returns to it")


def run_installed(options: argparse.Namespace) -> None:
    """Do what ``installed`` says; raises when the current bundle is damaged."""
    from ..bundle.bundle import open_current
    from ..bundle.installed_state import installed_state

    root = Path(options.directory)
    state = installed_state(root)
    with open_current(root) as bundle:
        value = {
            "current": _described(root, state.current),
            "previous": None if state.previous is None else _described(root, state.previous),
            "files": len(bundle.manifest.files),
            "bytes": sum(entry.bytes for entry in bundle.manifest.files),
        }
    if options.json:
        print_json(value)
        return
    _print_lines(value)


def _print(options: argparse.Namespace, done: Any) -> None:
    root = done.path.parent
    value = {
        "current": _described(root, done.bundle),
        "previous": None if done.previous is None else _described(root, done.previous),
        "copied_files": done.copied_files,
        "copied_bytes": done.copied_bytes,
        "resumed_files": done.resumed_files,
    }
    if options.json:
        print_json(value)
        return
    _print_lines(value)


def _print_lines(value: Dict[str, Any]) -> None:
    for which in ("current", "previous"):
        item = value[which]
        if item is None:
            say(f"{which:<10}-")
            continue
        signed = f", signed by {item['signed_by']}" if item["signed_by"] else ""
        say(f"{which:<10}{item['name']}  {item['path']}{signed}")


def _described(root: Path, item: Any) -> Dict[str, Any]:
    return {
        "name": item.name,
        "digest": item.digest,
        "signed_by": item.signed_by,
        "path": str(root.absolute() / item.directory),
    }


def _say(text: str) -> None:
    tell(f"{text} …")
