"""Every ```kotlin block of a page as one file that compiles: `python guide.py PAGE OUTPUT`. Imports go to its top."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def main(page: str, output: str) -> None:
    """Write the file. Raises ValueError for a page without a block."""
    blocks = re.findall(r"^```kotlin\n(.*?)^```$", Path(page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if not blocks:
        raise ValueError(f"{page}: expected a block that begins with ```kotlin")
    lines = "\n".join(blocks).splitlines()
    imports = sorted({line for line in lines if line.startswith("import ")})
    body = [line for line in lines if not line.startswith("import ")]
    Path(output).write_text("\n".join(["package guide", "", *imports, *body, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
