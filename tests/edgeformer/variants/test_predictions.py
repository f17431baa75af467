"""What is kept of a model's outputs for a report: as the device says it, of files alone, in plain data."""

import json

import numpy as np
import pytest

from edgeformer.variants.predictions import predictions
from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec


class Told:
    """What ``predictions`` reads of a model."""

    def __init__(self, name, width, **settings):
        self.task = TaskSpec(name, tuple("abc")[:width], **settings)
        self.outputs = (TensorSpec("logits", "float32", ("batch", width)),)


def rows(*values):
    return [{"logits": np.array(value, np.float32)} for value in values]


@pytest.mark.parametrize("name", ["image-classification", "audio-classification"])
def test_labels_and_scores_of_files(name):
    found = json.loads(json.dumps(predictions(Told(name, 3), rows([0, 9, 0], [np.nan, 0, 0]))))
    assert found[0]["labels"] == ["b"]
    assert found[0]["score"] == pytest.approx(1, abs=1e-3)
    assert found[1] is None


def test_several_labels_and_numbers():
    told = Told("image-classification", 3, multi_label=True)
    assert predictions(told, rows([2, -1, 3], [-1, -1, -1])) == [{"labels": ["a", "c"]}, {"labels": []}]
    number = Told("image-classification", 1, regression=True)
    assert predictions(number, rows([0.5])) == [{"value": 0.5}]


@pytest.mark.parametrize("name", ["text-classification", "token-classification", "image-feature-extraction"])
def test_texts_and_vectors_are_not_kept(name):
    assert predictions(Told(name, 3), rows([0, 9, 0])) is None
