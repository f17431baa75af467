from __future__ import annotations

import numpy as np
import pytest

from edgeformer_runtime.bundle.manifest import Manifest, TaskSpec, TensorSpec
from edgeformer_runtime.errors import RuntimeBundleError
from edgeformer_runtime.preprocess.text import EncodedText
from edgeformer_runtime.tasks import postprocess


def encoded(offsets=((0, 0),), words=(None,), texts=(None,)):
    return EncodedText({}, len(offsets), False, tuple(offsets), tuple(words), tuple(texts))


def test_softmax_and_sigmoid_do_not_overflow():
    logits = np.array([[1e4, 0, -1e4]], np.float32)
    np.testing.assert_allclose(postprocess.softmax(logits), [[1, 0, 0]])
    np.testing.assert_allclose(postprocess.sigmoid(logits), [[1, 0.5, 0]])
    np.testing.assert_allclose(postprocess.sigmoid(np.array([1.5])), 1 / (1 + np.exp(-1.5)))


def test_entities_merge_runs_and_split_at_b():
    task = TaskSpec("token-classification", ("O", "B-PER", "I-PER", "B-LOC"))
    text = "ann lee bob in rome"
    tags = [0, 1, 2, 1, 0, 3, 3, 0]  # special, ann, lee, bob, in, rom, ##e (not asked), special
    logits = np.eye(4)[tags][np.newaxis] * 20
    row = encoded(
        [(0, 0), (0, 3), (4, 7), (8, 11), (12, 14), (15, 18), (18, 19), (0, 0)],
        [None, 0, 1, 2, 3, 4, 4, None],
        [None, 0, 0, 0, 0, 0, 0, None],
    )
    entities = postprocess.token_classification(task, logits, row, text).entities
    assert [(item.label, item.text) for item in entities] == [
        ("PER", "ann lee"),
        ("PER", "bob"),
        ("LOC", "rome"),
    ]
    assert all(item.text == text[item.start : item.end] and item.score > 0.99 for item in entities)


def test_an_answer_stays_in_the_context_and_in_order():
    row = encoded(
        [(0, 0), (0, 3), (0, 0), (0, 4), (5, 9), (10, 14), (0, 0)], [None] * 7, [None, 0, None, 1, 1, 1, None]
    )
    start = np.array([[9, 9, 9, 0, 0, 5, 9.0]])
    end = np.array([[9, 9, 9, 4, 3, 0, 9.0]])
    result = postprocess.answer(start, end, row, "aaaa bbbb cccc")
    assert result.text == "cccc"  # the best end lies before the best start, which no span may have
    assert 0 < result.score < 1


def test_an_answer_is_not_longer_than_thirty_tokens():
    count = 50
    row = encoded([(index, index + 1) for index in range(count)], [None] * count, [1] * count)
    start, end = np.zeros((1, count)), np.zeros((1, count))
    start[0, 0], end[0, -1], end[0, 29] = 9, 9, 3
    result = postprocess.answer(start, end, row, "x" * count)
    assert (result.start, result.end) == (0, 30)


def test_regression_and_embedding():
    number = TaskSpec("text-classification", ("a",), regression=True)
    assert postprocess.regression(number, np.array([[2.5]]), encoded()).value == 2.5
    vector = postprocess.embedding(np.ones((1, 4)), encoded())
    assert vector.embedding.dtype == np.float32
    assert vector.to_dict()["embedding"] == [1, 1, 1, 1]
    with pytest.raises(RuntimeBundleError):
        postprocess.regression(number, np.ones((1, 2)), encoded())
    with pytest.raises(RuntimeBundleError):
        postprocess.embedding(np.ones((1, 2, 4)), encoded())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"regression": True}, [2.0]),
        ({"regression": True, "activation": "sigmoid"}, [1 / (1 + np.exp(-2.0))]),
        ({"regression": True, "activation": "tanh"}, [np.tanh(2.0)]),
        ({}, [1.0]),
        ({"multi_label": True}, [1 / (1 + np.exp(-2.0))]),
        ({"multi_label": True, "activation": "softmax"}, [1.0]),
        ({"activation": "sigmoid"}, [1 / (1 + np.exp(-2.0))]),
    ],
)
def test_scores_by_activation(options, expected):
    task = TaskSpec("text-classification", ("a",), **options)
    assert postprocess.activated(task, np.array([2.0], np.float32)) == pytest.approx(expected)


def test_outputs_that_do_not_fit_the_task():
    def manifest(task):
        return Manifest("m", task, (), (TensorSpec("y", "float32", ("batch", 2)),), (), ())

    two = TaskSpec("text-classification", ("a", "b"))
    for task, output in (
        (TaskSpec("text-classification", ("a", "b", "c")), np.ones((1, 2))),
        (TaskSpec("text-classification"), np.ones((1, 2))),
        (two, np.array([[np.nan, 1]])),
        (two, np.array([[np.inf, 1]])),
        (TaskSpec("question-answering"), np.ones((1, 2))),
        (TaskSpec("tensors"), np.ones((1, 2))),
    ):
        with pytest.raises(RuntimeBundleError):
            postprocess.predict(manifest(task), {"y": output}, encoded(), "text", None)
