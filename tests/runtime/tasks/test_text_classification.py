from __future__ import annotations

import numpy as np
import pytest

from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.errors import RuntimeBundleError
from edgeformer_runtime.preprocess.base import Encoded
from edgeformer_runtime.tasks.text_classification import TextClassification


def predict(logits, labels=("a", "b"), **options):
    spec = TaskSpec("text-classification", labels, **options)
    return TextClassification(spec, ("logits",)).predict({"logits": np.asarray(logits)}, Encoded({}, 5, True, 2))


def test_one_label():
    result = predict([[0.0, 2.0]])
    assert (result.label, result.labels, result.tokens, result.truncated, result.tokens_cut) == (
        "b",
        ("b",),
        5,
        True,
        2,
    )
    assert sum(result.scores.values()) == pytest.approx(1)
    assert result.summary() == f"b {result.score:.4f}"


@pytest.mark.parametrize(("threshold", "expected"), [(0.5, ("a", "b")), (0.6, ("b",)), (0.99, ())])
def test_labels_from_the_threshold_up(threshold, expected):
    assert predict([[0.0, 2.0]], multi_label=True, threshold=threshold).labels == expected


def test_a_number():
    result = predict([[2.5]], ("a",), regression=True)
    assert (result.value, result.summary()) == (2.5, "2.5000")
    with pytest.raises(RuntimeBundleError, match="one number"):
        predict(np.ones((1, 2)), ("a",), regression=True)


@pytest.mark.parametrize(
    ("labels", "logits"),
    [
        (("a", "b", "c"), np.ones((1, 2))),
        ((), np.ones((1, 2))),
        (("a", "b"), [[np.nan, 1]]),
        (("a", "b"), [[np.inf, 1]]),
    ],
)
def test_what_does_not_fit(labels, logits):
    with pytest.raises(RuntimeBundleError):
        predict(logits, tuple(labels))
