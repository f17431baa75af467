from __future__ import annotations

import numpy as np
import pytest

from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.tasks.scores import activated, sigmoid, softmax


def test_softmax_and_sigmoid_do_not_overflow():
    logits = np.array([[1e4, 0, -1e4]], np.float32)
    np.testing.assert_allclose(softmax(logits), [[1, 0, 0]])
    np.testing.assert_allclose(sigmoid(logits), [[1, 0.5, 0]])
    np.testing.assert_allclose(sigmoid(np.array([1.5])), 1 / (1 + np.exp(-1.5)))


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
    assert activated(task, np.array([2.0], np.float32)) == pytest.approx(expected)
