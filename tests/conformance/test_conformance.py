"""The Python runtime over what every reader must get (README.md)."""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from edgeformer_runtime import Bundle, RuntimeBundleError, Session
from edgeformer_runtime.bundle.golden import read_golden
from edgeformer_runtime.preprocess.base import Encoded
from edgeformer_runtime.preprocess.image_text_rows import ImageTextRows
from edgeformer_runtime.preprocess.registry import inputs_fed_by, make_encoder

pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")
HERE = Path(__file__).parent
CASES = sorted(path.stem for path in (HERE / "cases").glob("*.json"))
MAX_S = 1  # of the processor's time, to refuse a bundle
MAX_KB = 256 << 10
CORRUPTED = json.loads((HERE / "corrupted.json").read_text("utf-8"))


def given(item, reads):
    """An item of a case as ``Session.predict`` takes it; files lie below ``inputs``."""
    if reads == "image and text":
        return str(HERE / "inputs" / item[0]), item[1]
    if reads == "text":
        return tuple(item) if isinstance(item, list) else item
    return str(HERE / "inputs" / item)


def encoders(bundle):
    """What makes the inputs of each kind of item; raises RuntimeBundleError for a tokenizer that isn't known."""
    manifest = bundle.manifest
    kinds = [item.kind for item in manifest.preprocess]
    return {
        item.kind: make_encoder(item, bundle.read, inputs_fed_by(item.kind, kinds, manifest.inputs))
        for item in manifest.preprocess
    }


def encoder_of(session):
    """What makes the inputs of an item."""
    made = encoders(session.bundle)
    wanted = [made[kind] for kind in session.reads.split(" and ")]
    return wanted[0] if len(wanted) == 1 else ImageTextRows(*wanted)


def close(found, expected):
    """Whether two predictions are equal, numbers within 1e-5."""
    if isinstance(expected, dict):
        return set(found) == set(expected) and all(close(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(close(a, b) for a, b in zip(found, expected, strict=True))
    return found == (pytest.approx(expected, abs=1e-5) if isinstance(expected, float) else expected)


@pytest.fixture(params=CASES)
def known(request):
    if "image" in request.param:
        pytest.importorskip("PIL")
    return json.loads((HERE / "cases" / f"{request.param}.json").read_text("utf-8"))


@pytest.mark.filterwarnings("ignore:.*(resampled|averaged)")
def test_inputs_outputs_and_predictions(known, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEFORMER_CACHE", str(tmp_path))
    with Session.open(HERE / "bundles" / known["bundle"], self_check="always") as session:
        assert "passed" in session.self_check
        for case in known["cases"]:
            if "arrays" in case:
                specs = session.manifest.inputs
                feeds = {spec.name: np.asarray(case["arrays"][spec.name], spec.dtype) for spec in specs}
            else:
                item = given(case["item"], session.reads)
                encoder = encoder_of(session)
                encoded: Encoded = encoder.encode_row(encoder.rows([item])[0], case["prompt"])
                feeds = encoded.feeds
                assert set(feeds) == set(case["inputs"])
                for name, array in feeds.items():
                    np.testing.assert_allclose(array, case["inputs"][name], rtol=0, atol=1e-6)
                if "offsets" in case:
                    assert [list(pair) for pair in encoded.offsets] == case["offsets"]
                (result,) = session.predict([item], case["prompt"], case.get("labels"))
                assert close(json.loads(json.dumps(result.to_dict())), case["prediction"])
            for name, array in session.run(feeds).items():
                np.testing.assert_allclose(array, case["outputs"][name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_golden_rows_are_there(name):
    with Bundle.open(HERE / "bundles" / name) as bundle:
        golden = read_golden(bundle)
    assert golden is not None
    assert [item is None for item in golden.variants["onnx"].predictions] == [text is None for text in golden.texts]


@pytest.mark.parametrize("known", CORRUPTED, ids=lambda known: known["name"])
def test_a_corrupted_bundle_has_its_code(known, tmp_path, monkeypatch):
    if "keys" in known:
        pytest.importorskip("cryptography")
    (unpacked := tmp_path / "unpacked").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(unpacked))
    path = corrupted(known, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    start, memory = time.process_time(), peak_kb()
    assert code_of(path, [HERE / "keys" / name for name in known.get("keys", ())]) == known["code"]
    assert time.process_time() - start < MAX_S
    assert peak_kb() - memory < MAX_KB
    assert sorted(tmp_path.rglob("*")) == before


def code_of(path: Path, keys: list[Path]) -> str | None:
    """What opening it, and reading its golden rows and its tokenizer, ends with; None where it is sound."""
    try:
        with Bundle.open(path, keys or None) as bundle:
            read_golden(bundle)
            encoders(bundle)
    except RuntimeBundleError as error:
        return error.code
    return None


def peak_kb() -> int:
    """The most memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def corrupted(known, folder: Path) -> Path:
    """The bundle, or the .zip of one, that a line of corrupted.json describes, made in ``folder``."""
    source = HERE / known["bundle"]
    path = folder / source.name
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, path)
    for change in known["changes"]:
        file = path / change["file"] if "file" in change else path
        outside = folder / "outside"
        if change["change"] == "delete":
            file.unlink()
        elif change["change"] == "folder":
            file.unlink(missing_ok=True)
            file.mkdir(parents=True)
        elif change["change"] == "link":
            if "to" not in change:
                file.rename(outside)
            file.unlink(missing_ok=True)
            file.symlink_to(change.get("to", outside))
        elif change["change"] == "hard-link":
            os.link(file, outside)
        elif change["change"] == "grow":
            with file.open("ab") as opened:
                opened.truncate(change["bytes"])
        else:
            file.write_bytes(edited(file.read_bytes() if file.exists() else b"", change["edits"]))
    return path


def edited(content: bytes, edits) -> bytes:
    """``content`` after [position, bytes deleted, text as Latin-1, times] in turn."""
    for at, deleted, text, times in edits:
        content = content[:at] + text.encode("latin-1") * times + content[at + deleted :]
    return content


def test_a_picture_for_a_model_of_texts_and_the_reverse(capsys):
    from edgeformer_runtime.cli import main

    texts, pictures = HERE / "bundles/text-classification", HERE / "bundles/image-classification"
    picture = HERE / "inputs/picture.png"
    for arguments, said in (
        (["predict", texts, "--image", picture], "takes texts, not pictures"),
        (["predict", pictures, "a text"], "takes pictures, not texts: expected --image"),
        (["predict", pictures, "--audio", HERE / "inputs/sound.wav"], "takes pictures, not sounds"),
        (["predict", pictures, "--image", HERE / "README.md"], "this model takes pictures"),
        (["predict", pictures, "--image", picture, "a text"], "takes pictures, not pictures with texts"),
    ):
        assert main([str(part) for part in arguments]) == 2
        assert said in capsys.readouterr().err
    sound = HERE / "inputs/sound.wav"
    assert main(["predict", str(HERE / "bundles/audio-classification"), "--audio", str(sound)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("loud 0.8")
    assert "was resampled from 8000 Hz to 16000 Hz" in err
    pytest.importorskip("PIL")
    assert main(["predict", str(pictures), "--image", str(picture)]) == 0
    assert str(picture) in capsys.readouterr().out
