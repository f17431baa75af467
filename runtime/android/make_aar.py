"""Packs compiled classes as an AAR: `python make_aar.py OUTPUT CLASSES...`, as tests/apps/kotlin/aar.sh does.

What Gradle's Android plugin makes of this folder where it is at hand. The same classes make the same bytes.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

RULES = Path(__file__).parent / "android" / "consumer-rules.pro"
MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="edgeformer.runtime.android">
    <uses-sdk android:minSdkVersion="23" />
</manifest>
"""
TABLE = "edgeformer/unicode_table.txt"  # a resource of the tokenizers
_EPOCH = (1980, 1, 1, 0, 0, 0)


def classes_jar(folders: list[Path]) -> bytes:
    """classes.jar: every class and resource of ``folders``. Raises ValueError where the table of Unicode is missing."""
    members = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }
    if TABLE not in members:
        where = ", ".join(map(str, folders))
        raise ValueError(f"{TABLE} is in none of {where}: copy runtime/unicode_table/unicode_table.txt")
    return archive(members)


def archive(members: dict[str, bytes]) -> bytes:
    """A .zip of ``members``, without dates."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, members[name])
    return buffer.getvalue()


def main(output: str, *folders: str) -> None:
    """Write the AAR."""
    members = {
        "AndroidManifest.xml": MANIFEST.encode(),
        "classes.jar": classes_jar([Path(folder) for folder in folders]),
        "proguard.txt": RULES.read_bytes(),
        "R.txt": b"",  # no resources, and yet the file is mandatory
    }
    Path(output).write_bytes(archive(members))


if __name__ == "__main__":
    main(*sys.argv[1:])
