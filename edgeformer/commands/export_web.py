"""`edgeformer export-web`: a bundle as a web page, a folder for a server or one file."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeformer_runtime.terminal import say

from .base import add_command


def add(commands: Any) -> None:
    """Add the command to the command line."""
    command = add_command(commands, "export-web", "write a bundle as a web page that runs it", run)
    command.add_argument("bundle", metavar="BUNDLE", type=Path, help="directory or .zip")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR|FILE.html", help="the page")
    installed = "where npm installed the engines: npm install --prefix DIR onnxruntime-web @litertjs/core"
    command.add_argument("--engines", type=Path, required=True, metavar="DIR", help=installed)
    command.add_argument("--single-file", action="store_true", help="one .html with everything inside, for file://")
    taken = "take this one; repeatable (default: all that run in browsers, with --single-file the smallest)"
    command.add_argument("--variant", action="append", default=[], metavar="NAME", help=taken)


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    from edgeformer_runtime import Bundle

    from ..web.export import export_web

    with Bundle.open(options.bundle) as bundle:
        page = export_web(bundle, options.output, options.engines, options.variant, options.single_file)
    engines = ", ".join(f"{name} {version}" for name, version in page.engines.items())
    if options.json:
        say(json.dumps({**asdict(page), "output": str(page.output)}))
    else:
        say(f"{page.output}: {page.bytes / 1e6:.1f} MB, variants {', '.join(page.variants)}, engines {engines}")
        serve = f"`python3 -m http.server -d {page.output}`, then open http://localhost:8000"
        say("look at it: " + ("open the file in a browser" if options.single_file else serve))
