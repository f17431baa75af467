"""Runs variants of a bundle on given inputs and prints their outputs as JSON: on a board and here, the same program.

usage: python outputs_program.py FILE        JSON: {bundle, variants, threads, feeds: [{input: nested lists}]}
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgeformer_runtime import EdgeformerError, Session
from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.variants.selection import candidates


def main() -> None:
    """Print {variant: {"engine", "outputs"} or {"error", "usable"}}."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with Bundle.open(request["bundle"]) as bundle:
        usable = {item.variant.name: item.availability.usable for item in candidates(bundle)}
    found = {}
    for name in request["variants"]:
        try:
            found[name] = outputs(request, name)
        except EdgeformerError as error:
            found[name] = {"error": str(error), "usable": usable.get(name, False)}
    print(json.dumps(found))


def outputs(request: dict[str, Any], name: str) -> dict[str, Any]:
    """The engine and the outputs of one variant, as plain lists."""
    with Session.open(request["bundle"], variant=name, threads=request["threads"]) as session:
        types = {spec.name: spec.dtype for spec in session.manifest.inputs}
        results = []
        for feeds in request["feeds"]:
            arrays = {key: np.asarray(value, types[key]) for key, value in feeds.items()}
            results.append({key: value.tolist() for key, value in session.run(arrays).items()})
        return {"engine": session.engine, "delegation": list(session.delegation), "outputs": results}


if __name__ == "__main__":
    main()
