"""The code that `edgeformer inspect --for` prints, pasted into files for a compiler: python pasted.py PLATFORM FOLDER.

One file for each bundle of tests/conformance and each engine of the platform, so every task in every way.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgeformer.apps import get_platform
from edgeformer.apps.task import Row
from edgeformer_runtime import Bundle

BUNDLES = Path(__file__).resolve().parents[1] / "conformance" / "bundles"
ENDINGS = {"android": "kt", "ios": "swift", "web": "ts"}


def paste(platform: str, folder: Path) -> list[Path]:
    """The files written into ``folder``. Names in them don't clash: each is a package or a type of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen, written = get_platform(platform), []
    for path in sorted(BUNDLES.iterdir()):
        with Bundle.open(path) as bundle:
            row = Row.of(bundle.manifest)
        for engine in chosen.engines:
            name = f"{path.name}-{engine.name}".replace("-", "_")
            code = chosen.code(row, engine)
            if platform == "android":
                code = f"package pasted.{name}\n\n{code}"
            elif platform == "ios":
                imports = [line for line in code.splitlines() if line.startswith("import ")]
                rest = [line.replace("func ", "static func ", 1) for line in code.splitlines() if line not in imports]
                code = "\n".join([*imports, f"enum {name} {{", *rest, "}"])
            file = folder / f"{name}.{ENDINGS[platform]}"
            file.write_text(code + "\n", encoding="utf-8")
            written.append(file)
    return written


if __name__ == "__main__":
    paste(sys.argv[1], Path(sys.argv[2]))
