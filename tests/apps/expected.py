"""What the Python runtime makes of mutated manifests, odd pictures and odd sounds, for readers in other languages.

`python tests/apps/expected.py FOLDER` writes one JSON file each; tests/apps/prepare.sh keeps it for all of them.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgeformer_runtime import Bundle, Session, pack
from edgeformer_runtime.bundle.manifest_reader import read_manifest
from edgeformer_runtime.errors import InputError, RuntimeBundleError
from edgeformer_runtime.preprocess.audio import AudioEncoder, audio_from_dict
from edgeformer_runtime.preprocess.image_encoder import ImageEncoder
from edgeformer_runtime.preprocess.image_preprocess import FILTERS, image_from_dict

TESTS = Path(__file__).parents[1]
BUNDLES = TESTS / "conformance" / "bundles"
VALUES: list[Any] = [
    None, True, -1, 0, 1, 2, 1.0, 0.5, 1e300, 2**31, 10**18, "", "x", "auto", "batch", "a\nb", "../x", "a/b", "A:b",
    "con.txt", "state", [], {}, [1, 1], [2, 3], ["x", "x"], [None], {"x": 1}, {"x": [1, 2]},
]  # fmt: skip
TEXTS = [
    "", "{", "[]", "1", "nul", "\ufeff{}", '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}',
    '{"a": 12345678901234567890}', '{"a": 1234567890123456789}', '{"a": 01}', '{"a": .5}', '{"a": "\\ud800"}',
    '{"a": "\t"}',
    '{"a": 1,}', "[" * 64 + "]" * 64, "[" * 65 + "]" * 65, "[" * 63 + "1" + "]" * 63, "[" * 64 + "1" + "]" * 64,
    "[" + "1," * 300_000 + "1]", '{"format_version": 2} x', '{"__proto__": 1}',
    '{"format_version": 2, "__proto__": {}}',
]  # fmt: skip
AUDIO: list[dict[str, Any]] = [
    {"rate_hz": 16000},
    {"rate_hz": 11025, "normalize": True, "mask": "attention_mask"},
    {"rate_hz": 8000, "normalize": True, "max_samples": 300, "pad_to_max": True, "padding_value": 0.25},
    {"rate_hz": 16000, "log_mel": {
        "n_fft": 512, "hop": 160, "mels": 32, "window_length": 400, "remove_offset": True, "preemphasis": 0.97,
        "window": "hann_symmetric", "min_hz": 20, "mel_scale": "kaldi", "triangles_in_mel": True, "log_floor": 2**-23,
        "frames": 12, "std": 9.0}},
    {"rate_hz": 16000, "max_samples": 4800, "pad_to_max": True, "log_mel": {
        "n_fft": 400, "hop": 160, "mels": 20, "reflect": True, "area_norm": True, "log": "log10",
        "drop_last_frame": True, "range": 8, "mean": -4, "std": 4, "layout": "mels_frames"}},
    {"rate_hz": 16000, "log_mel": {"n_fft": 300, "hop": 100, "mels": 8, "mel_scale": "htk", "max_hz": 7000}},
]  # fmt: skip


def outcome(text: bytes) -> Any:
    """The error's code, or what was skipped."""
    try:
        manifest = read_manifest(text)
    except RuntimeBundleError as error:
        return error.code
    return [[item.part, item.name] for item in manifest.skipped]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(data: Any, path: tuple[Any, ...], change: Any) -> Any:
    """A copy of ``data`` in which ``change(parent, key)`` was done at ``path``."""
    result = copy.deepcopy(data)
    parent = result
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return result


def mutated() -> Iterator[bytes]:
    """Manifests with one change each, and texts that are no manifest."""
    documents = [json.loads((TESTS / "apps" / "every_field.json").read_text("utf-8"))]
    for folder in sorted(BUNDLES.iterdir()):
        data = json.loads((folder / "manifest.json").read_text("utf-8"))
        del data["checksum"]
        documents.append(data)
    generator = random.Random(0)
    for number, data in enumerate(documents):
        yield json.dumps(data).encode()
        for path in places(data):
            if not path:
                continue
            yield json.dumps(changed(data, path, lambda parent, key: parent.pop(key))).encode()
            for value in generator.sample(VALUES, 9 if number == 0 else 2):
                if isinstance(value, dict) and value and isinstance(_at(data, path), dict):
                    continue  # a known key missing beside an unknown one: readers may name either
                yield json.dumps(changed(data, path, lambda parent, key, v=value: parent.__setitem__(key, v))).encode()
            yield json.dumps(changed(data, path, _with_unknown_key)).encode()
    for change in (
        {"input": "a\nb"},
        {"input": ""},
        {"input": {}, "resize": {"unknown": 1}},
    ):  # what readers differed in
        image = json.loads((BUNDLES / "image-classification" / "manifest.json").read_text("utf-8"))
        del image["checksum"]
        for key, value in change.items():
            before = image["preprocess"][0][key]
            image["preprocess"][0][key] = {**before, **value} if isinstance(before, dict) else value
        yield json.dumps(image).encode()
    for text in TEXTS:
        yield text.encode()
    yield b'{"a": "\xff"}'
    whole = (BUNDLES / "text-classification" / "manifest.json").read_bytes()
    for _ in range(300):
        content = bytearray(whole)
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        yield bytes(content)


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


def _with_unknown_key(parent: Any, key: Any) -> None:
    if isinstance(parent[key], dict):
        parent[key]["unknown"] = 1


def pictures() -> Iterator[dict[str, Any]]:
    """Pixels of odd sizes with all filters, crops, colours; what becomes of them."""
    generator = np.random.default_rng(0)
    sizes = [(1, 1), (1, 7), (9, 1), (3, 200), (150, 4), (23, 37), (61, 60), (224, 224), (47, 180)]
    for number, (height, width) in enumerate(sizes):
        for index, name in enumerate(FILTERS):
            channels = (4, 3, 1)[(number + index) % 3]
            pixels = generator.integers(0, 256, (height, width, channels), dtype=np.uint8)
            grey = (number + index) % 4 == 0
            settings: dict[str, Any] = {
                "kind": "image", "color": "L" if grey else "RGB", "alpha": ("white", "drop")[index % 2],
                "mean": [0.4] if grey else [0.48, 0.46, 0.41], "std": [0.3] if grey else [0.26, 0.28, 0.27],
                "resize": {"size": [17], "mode": "shortest", "filter": name, "cubic_a": (-0.5, -0.75)[number % 2]},
                "crop": [13, 19],
            }  # fmt: skip
            if number % 3 == 1:
                settings["resize"] = {"size": [31, 12], "mode": "exact", "filter": name}
                settings["crop"] = None
            elif number % 3 == 2 and index % 2:
                settings["resize"] = None
            tensor = ImageEncoder(image_from_dict(settings, "settings"))([pixels])["pixel_values"]
            yield {"settings": settings, "width": width, "height": height, "pixels": pixels.ravel().tolist(),
                   "bits": tensor.ravel().view(np.int32).tolist(), "shape": list(tensor.shape)}  # fmt: skip


def sounds() -> Iterator[dict[str, Any]]:
    """Noise and tones at several rates; what becomes of them."""
    generator = np.random.default_rng(0)
    for settings in AUDIO:
        for rate, length in ((16000, 4000), (8000, 2000), (44100, 5000), (11025, 1)):
            tone = np.sin(np.arange(length) * 0.3)
            samples = (0.4 * tone + 0.1 * generator.standard_normal(length)).astype(np.float32)
            known = {"kind": "audio", **settings}
            try:
                feeds = AudioEncoder(audio_from_dict(known)).encode([(samples, rate)]).feeds
                expected = {name: [list(array.shape), array.ravel().tolist()] for name, array in feeds.items()}
            except InputError:
                expected = None
            yield {"settings": known, "rate": rate, "samples": samples.tolist(), "feeds": expected}


def archives(folder: Path) -> dict[str, Any]:
    """{name of a .zip: what opening it gives}, of plain ones and of others."""
    folder.mkdir()
    pack(BUNDLES / "text-classification", folder / "packed.zip")
    source = BUNDLES / "text-classification"
    files = {str(path.relative_to(source)): path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()}
    packed = (folder / "packed.zip").read_bytes()
    flipped = bytearray(packed)
    flipped[len(packed) // 3] ^= 1
    for name, content in (("cut", packed[:-5]), ("flipped", bytes(flipped)), ("before", b"x" + packed), ("empty", b"")):
        (folder / f"{name}.zip").write_bytes(content)
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    for name, extra in (
        ("deflated", {}), ("outside", {"../outside": b"x"}), ("bomb", {"bomb": bytes(40 << 20)}),
        ("unlisted", {"more": b"x"}),
        ("link", {link: b"manifest.json"}), ("upper", {"MANIFEST.json": b"x"}),
    ):  # fmt: skip
        with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in {**files, **extra}.items():
                archive.writestr(member, content)
    commented = folder / "comment.zip"
    shutil.copyfile(folder / "deflated.zip", commented)
    with zipfile.ZipFile(commented, "a") as archive:
        archive.comment = b"x"
    return {path.name: _opened(path) for path in sorted(folder.glob("*.zip"))}


def _opened(path: Path) -> str:
    try:
        with Bundle.open(path) as bundle:
            return bundle.digest
    except RuntimeBundleError as error:
        return error.code


def opaque_picture(folder: Path) -> None:
    """A picture without transparency, and the labels that a model gives it: browsers decode such ones exactly."""
    from PIL import Image

    rows, columns = np.mgrid[:23, :37]
    pixels = np.stack([rows * 11, columns * 6, rows * columns % 256], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "opaque.png")
    with Session.open(BUNDLES / "zero-shot-image-classification", self_check="never") as session:
        (found,) = session.predict([str(folder / "opaque.png")])
    (folder / "opaque.json").write_text(json.dumps(found.to_dict()), encoding="utf-8")


def main(folder: Path) -> None:
    """Write everything; what is in ``folder`` goes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    manifests = [[text.decode("latin-1"), outcome(text)] for text in mutated()]
    for name, content in (("manifests", manifests), ("pictures", list(pictures())), ("sounds", list(sounds()))):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    shutil.copytree(BUNDLES / "two-engines", folder / "two-engines")
    opaque_picture(folder)
    (folder / "archives.json").write_text(json.dumps(archives(folder / "archives")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
