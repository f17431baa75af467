"""`edgeformer-run verify`: is this bundle whole, and is it from whom you think?"""

from __future__ import annotations

import argparse
from typing import Any, Dict, List, Optional

from ..terminal import say
from .base import Shared, given_limits, opened, opening, print_json


def add(commands: Any, shared: Shared) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "verify",
        parents=[shared.bundle, shared.debug],
        help="check hashes and signature, and say what that doesn't prove",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    limits = opening(options)["sandbox"]
    with opened(options) as bundle:
        claimed = _claimed_key(bundle)
        value: Dict[str, Any] = {
            "name": bundle.manifest.name,
            "digest": bundle.digest,
            "files": len(bundle.manifest.files),
            "bytes": sum(entry.bytes for entry in bundle.manifest.files),
            "signed_by": bundle.signed_by,
            "claims_to_be_signed_by": claimed,
            "unproved": _unproved(bundle.signed_by, claimed),
        }
        if limits:
            from ..sandbox.sandbox import load_in_sandbox

            value["ran"] = load_in_sandbox(bundle, limits=given_limits(limits)).ran
    if options.json:
        print_json(value)
        return
    say(f"{value['name']}: whole, {value['files']} files, {value['bytes']} bytes, each as its SHA-256 says")
    say(f"digest {value['digest']}")
    say(f"signature: {_signature_line(bundle.signed_by, claimed)}")
    for name, engine in value.get("ran", {}).items():
        say(f"ran in a child process: {name} on {engine}")
    say("not proved:")
    for line in value["unproved"]:
        say(f"  - {line}")


def _claimed_key(bundle: Any) -> Optional[str]:
    from ..bundle.names import MAX_SIGNATURE_BYTES, SIGNATURE_NAME
    from ..bundle.signing import parse_signature
    from ..files.safe_files import read_plain

    try:
        content = read_plain(bundle.path / SIGNATURE_NAME, SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
    except FileNotFoundError:
        return None
    return parse_signature(content)[0]


def _signature_line(signed_by: Optional[str], claimed: Optional[str]) -> str:
    if signed_by is not None:
        return f"valid, by the key {signed_by}"
    if claimed is not None:
        return f"not checked (claims to be by the key {claimed}); give --key to check it"
    return "none"


def _unproved(signed_by: Optional[str], claimed: Optional[str]) -> List[str]:
    lines = []
    if signed_by is None:
        lines.append(
            "who made it: whoever can change the files can change their hashes"
            + (" and claim any key" if claimed is not None else "")
        )
    else:
        lines.append("who else has that key, and what its owner checked before signing")
    return [
        *lines,
        "that it is the newest: an older bundle of the same producer passes as well",
        "that the model is right, fair or harmless: `edgeformer verify` compares it with labelled rows",
        "that an engine can be given it safely: engines parse model files in native code (see --sandbox)",
        "report.json and report.html, which aren't hashed and which nothing here reads",
    ]
