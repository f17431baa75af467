"""Labels that need no training: what a caller may name, and what a bundle may not say."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeformer_runtime import Bundle, InputError, RuntimeBundleError, Session
from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec
from edgeformer_runtime.bundle.manifest_text import manifest_text
from edgeformer_runtime.bundle.writer import hash_files
from edgeformer_runtime.preprocess.base import Encoded
from edgeformer_runtime.tasks import get_task
from edgeformer_runtime.tasks.feature_extraction import Embedding
from edgeformer_runtime.tasks.zero_shot_image_classification import check_labels, check_told_apart, stored_vectors
from edgeformer_runtime.variants.feeds import prediction_inputs

CONFORMANCE = Path(__file__).parents[2] / "conformance"
BUNDLE = CONFORMANCE / "bundles/zero-shot-image-classification"
PICTURE = str(CONFORMANCE / "inputs/picture.png")
OUTPUTS = tuple(TensorSpec(name, "float32", ("batch", 2)) for name in ("image", "text"))


def task(**settings):
    made = get_task(TaskSpec("zero-shot-image-classification", ("a", "b", "c"), **settings), OUTPUTS)
    return made.with_labels(("a", "b", "c"), np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32))


def scores(made, picture=(0.6, 0.8)):
    return made.predict({"image": np.array([picture], np.float32)}, Encoded({}))


def test_scores_are_those_of_classification():
    one = scores(task(scale=2.0, bias=1.0))
    logits = 2 * np.array([0.6, 0.8, 1.0]) + 1
    assert list(one.scores.values()) == pytest.approx(np.exp(logits) / np.exp(logits).sum())
    assert (one.label, one.labels) == ("c", ("c",))
    several = scores(task(scale=1.0, multi_label=True, threshold=0.68))
    assert list(several.scores.values()) == pytest.approx(1 / (1 + np.exp(-np.array([0.6, 0.8, 1.0]))))
    assert several.labels == ("b", "c")


@pytest.mark.parametrize(
    ("settings", "picture", "said"),
    [
        ({"scale": 1e308, "bias": 1e308}, (1, 1), "no finite scores"),
        ({}, (np.nan, 1), "NaN or infinity"),
        ({}, (1, 2, 3), "has 3 numbers, a label's 2"),
    ],
)
def test_no_score_is_made_up(settings, picture, said):
    with pytest.raises(RuntimeBundleError, match=said):
        scores(task(**settings), picture)


def test_regression_is_none():
    with pytest.raises(RuntimeBundleError, match="no regression"):
        task(regression=True)


def test_stored_vectors_must_be_finite():
    with pytest.raises(RuntimeBundleError, match="label vectors hold NaN"):
        stored_vectors(np.array([np.nan, 1], "<f4").tobytes(), 2)


@pytest.mark.parametrize(
    "labels", ["dog", b"dog", 5, [1, 2], [["a"], "b"], [], ["a"], ["a", "a"], ["a", " "], {"a", "b"}]
)
def test_labels_that_are_none(labels):
    with pytest.raises(InputError, match="expected"):
        check_labels(labels)


def test_labels_that_the_model_can_not_read_or_tell_apart():
    same = [Embedding(3, False, 0, np.array([1, 0], np.float32)) for _ in range(2)]
    with pytest.raises(InputError, match="labels 'a' and 'b': the model gives both one vector"):
        check_told_apart(["a", "b"], same)
    with pytest.raises(InputError, match="label 'b': its text is longer"):
        check_told_apart(["a", "b"], [same[0], Embedding(3, True, 2, np.array([0, 1], np.float32))])


@pytest.fixture
def session(monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("PIL")
    monkeypatch.setenv("EDGEFORMER_CACHE", str(tmp_path))
    with Session.open(BUNDLE) as opened:
        yield opened


def test_a_picture_needs_no_tokenizer_where_vectors_are_stored(session, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    (found,) = session.predict([PICTURE])
    assert list(found.scores) == list(session.manifest.task.labels)
    with pytest.raises(Exception, match="tokenizers"):
        session.predict([PICTURE], labels=["good", "bad"])


def test_only_what_a_prediction_runs_is_timed(session):
    assert [spec.name for spec in prediction_inputs(session.manifest)] == ["pixel_values"]
    report = session.benchmark(runs=20, quick=True)
    assert report.sequence_length is None


def test_a_bundle_without_texts_says_so(session, tmp_path):
    """Its labels' vectors are enough for pictures."""
    path = tmp_path / "bundle"
    shutil.copytree(str(BUNDLE), str(path))
    with Bundle.open(path) as bundle:
        manifest = bundle.manifest
    for name in ("preprocess/tokenizer.json", "golden.json", "golden.bin"):
        (path / name).unlink()
    data = json.loads(manifest_text(manifest))
    data["preprocess"] = data["preprocess"][:1]
    data["files"] = [{"path": f.path, "bytes": f.bytes, "sha256": f.sha256} for f in hash_files(path)]
    del data["checksum"]
    (path / "manifest.json").write_text(json.dumps(data), encoding="utf-8")
    with Session.open(path) as opened:
        assert opened.predict([PICTURE])[0].label == session.predict([PICTURE])[0].label
        for call in (lambda: opened.predict([PICTURE], labels=["x", "y"]), lambda: opened.embed(["x"], "text")):
            with pytest.raises(InputError, match="takes arrays, not texts"):
                call()
