"""What the Python runtime says of files that the Kotlin tests wrote: JSON on standard output.

oracle.py manifests FOLDER    {file: code of the error, or "" where it reads}
oracle.py images FOLDER       writes NAME.expected (float32) for each NAME.json (preprocessing) with NAME.pixels (RGBA)
    oracle.py texts FOLDER        writes a tokenizer of each kind, NAME.json, and what it makes of texts, NAME.expected
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from small_tokenizers import small_tokenizers, texts

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


def write_texts(folder: Path) -> None:
    """Tokenizers, and for each text alone and in pairs, whole and cut from either side, what they make of it."""
    rows = texts()
    for name, tokenizer in small_tokenizers().items():
        (folder / f"{name}.json").write_text(tokenizer.to_str(), "utf-8")
        found = []
        for index, text in enumerate(rows):
            second = rows[-index] if index % 3 == 0 else None
            length, side = (9, "left" if index % 2 else "right") if index % 4 == 1 else (1000, "right")
            tokenizer.enable_truncation(length, strategy="longest_first", direction=side)
            made = tokenizer.encode(text, second)
            case = {"text": text, "second": second, "length": length, "left": side == "left"}
            case.update(ids=made.ids, types=made.type_ids, offsets=made.offsets, words=made.word_ids)
            found.append({**case, "texts": made.sequence_ids, "cut": len(made.overflowing) > 0})
        (folder / f"{name}.expected").write_text(json.dumps(found), "utf-8")


def main(what: str, folder: Path) -> None:
    """Answer for every file of ``folder``."""
    if what == "manifests":
        print(json.dumps({path.name: code_of(path.read_bytes()) for path in sorted(folder.iterdir())}))
        return
    if what == "texts":
        write_texts(folder)
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
