"""Flipped bits and truncations of a small bundle: found out, or what was opened is the same to the last bit.

"The same" is for bytes of a .zip that hold nothing of the content, dates for instance. In a directory each flip must be
found out.
"""

from __future__ import annotations

import random
from pathlib import Path

from section import main, report, scratch
from small_bundles import make_bundle

from edgeformer_runtime import Bundle, EdgeformerError, pack


def content(bundle: Bundle) -> dict[str, bytes]:
    """Every file of the manifest, and the manifest."""
    files = {entry.path: bundle.file(entry.path).read_bytes() for entry in bundle.manifest.files}
    return {**files, "manifest.json": (bundle.path / "manifest.json").read_bytes()}


def outcome(path: Path, expected: dict[str, bytes]) -> str:
    """What opening says: "found out", "the same", or what is wrong."""
    try:
        with Bundle.open(path) as bundle:
            return "the same" if content(bundle) == expected else "other content was opened"
    except EdgeformerError:
        return "found out"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def damaged(raw: bytes, generator: random.Random) -> tuple[bytes, str]:
    """One flipped bit, or in one of ten cases the end cut off."""
    if generator.random() < 0.1:
        size = generator.randrange(len(raw))
        return raw[:size], f"cut to {size} bytes"
    place, bit = generator.randrange(len(raw)), generator.randrange(8)
    changed = bytearray(raw)
    changed[place] ^= 1 << bit
    return bytes(changed), f"bit {bit} of byte {place} flipped"


def run(count: int) -> int:
    """Half of the cases in a directory, half in a .zip."""
    generator = random.Random(0)
    failures: list[str] = []
    same = 0
    with scratch() as name:
        directory = make_bundle(Path(name, "bundle"), "flips")
        archive = pack(directory, Path(name, "bundle.zip"))
        with Bundle.open(directory) as bundle:
            expected = content(bundle)
        files = [directory / path for path in expected]
        sizes = [path.stat().st_size for path in files]
        for index in range(count):
            path = archive if index % 2 else generator.choices(files, sizes)[0]
            raw = path.read_bytes()
            changed, what = damaged(raw, generator)
            path.write_bytes(changed)
            found = outcome(archive if index % 2 else directory, expected)
            path.write_bytes(raw)
            same += found == "the same"
            if found != "found out" and (found != "the same" or path != archive):
                failures.append(f"{path.name}, {what}: {found}")
    return report(count, failures, f"{same} of them in bytes of the .zip that hold no content")


if __name__ == "__main__":
    main(run, 10_000)
