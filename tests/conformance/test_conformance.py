"""The Python runtime over what every reader must get (README.md)."""

from __future__ import annotations

import json
import shutil
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
CORRUPTED = json.loads((HERE / "corrupted.json").read_text("utf-8"))


def given(item, reads):
    """An item of a case as ``Session.predict`` takes it; files lie below ``inputs``."""
    if reads == "image and text":
        return str(HERE / "inputs" / item[0]), item[1]
    if reads == "text":
        return tuple(item) if isinstance(item, list) else item
    return str(HERE / "inputs" / item)


def encoder_of(session):
    """What makes the inputs of an item."""
    manifest = session.manifest
    kinds = [item.kind for item in manifest.preprocess]
    made = {
        item.kind: make_encoder(item, session.bundle.read, inputs_fed_by(item.kind, kinds, manifest.inputs))
        for item in manifest.preprocess
    }
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


@pytest.mark.parametrize("change", CORRUPTED, ids=lambda change: f"{change['change']}-{change['code']}")
def test_a_corrupted_bundle_has_its_code(change, tmp_path):
    path = tmp_path / "bundle"
    shutil.copytree(str(HERE / "bundles" / change["bundle"]), str(path))
    corrupt(path, change)
    with pytest.raises(RuntimeBundleError) as caught:
        Bundle.open(path)
    assert caught.value.code == change["code"]


def corrupt(path: Path, change) -> None:
    if change["change"] == "set":
        file = path / "manifest.json"
        data = json.loads(file.read_text("utf-8"))
        del data["checksum"]
        place = data
        for key in change["path"][:-1]:
            place = place[key]
        if change.get("remove"):
            del place[change["path"][-1]]
        else:
            place[change["path"][-1]] = change["value"]
        file.write_text(json.dumps(data), encoding="utf-8")
        return
    file = path / change["file"]
    if change["change"] == "add":
        file.write_bytes(b"more")
    elif change["change"] == "delete":
        file.unlink()
    elif change["change"] == "cut":
        content = file.read_bytes()
        file.write_bytes(content[: max(0, len(content) - change["bytes"])])
    else:
        content = bytearray(file.read_bytes())
        content[change["byte"]] ^= 1
        file.write_bytes(bytes(content))


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
