"""What the Python runtime says of files that the Kotlin tests wrote: JSON on standard output.

oracle.py manifests FOLDER    {file: code of the error, or "" where it reads}
oracle.py images FOLDER       writes NAME.expected (float32) for each NAME.json (preprocessing) with NAME.pixels (RGBA)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from edgeformer_runtime.bundle.manifest_reader import read_manifest
from edgeformer_runtime.errors import RuntimeBundleError
from edgeformer_runtime.preprocess.image_encoder import ImageEncoder, ImagePreprocess


def code_of(content: bytes) -> str:
    """The code that reading a manifest ends with."""
    try:
        read_manifest(content)
    except RuntimeBundleError as error:
        return error.code
    return ""


def main(what: str, folder: Path) -> None:
    """Answer for every file of ``folder``."""
    if what == "manifests":
        print(json.dumps({path.name: code_of(path.read_bytes()) for path in sorted(folder.iterdir())}))
        return
    for path in sorted(folder.glob("*.json")):
        case = json.loads(path.read_text("utf-8"))
        pixels = np.frombuffer(path.with_suffix(".pixels").read_bytes(), np.uint8)
        picture = pixels.reshape(case["height"], case["width"], 4)
        preprocess = ImagePreprocess.from_dict(case["preprocess"])
        array = ImageEncoder(preprocess)([picture])[preprocess.input]
        path.with_suffix(".expected").write_bytes(array.astype("<f4").tobytes())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
